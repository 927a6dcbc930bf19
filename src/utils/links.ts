const LINKS = /\bhttps?:\/\/[^\s<>"]+/giu;
/** What belongs to the sentence around a link rather than to the link. */
const TRAILING = /[.,;:!?'*_~]+$/u;
const MAX_LENGTH = 2048;

/** The addresses of web pages in a text, in their order and each once. */
export function linksIn(text: string, max: number): string[] {
  const links = new Set<string>();
  for (const [found] of text.matchAll(LINKS)) {
    const link = withoutSentence(found);
    if (link.length <= MAX_LENGTH && URL.canParse(link)) links.add(link);
    if (links.size === max) break;
  }
  return [...links];
}

/** `(see https://example.org/a_(b)).` ends behind `(b)`. */
function withoutSentence(link: string): string {
  const cut = link.replace(TRAILING, '');
  const last = cut.at(-1);
  const open = last === ')' ? '(' : last === ']' ? '[' : undefined;
  if (open === undefined || cut.split(open).length >= cut.split(last!).length) return cut;
  return withoutSentence(cut.slice(0, -1));
}
