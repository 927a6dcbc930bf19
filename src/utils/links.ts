import { parseWebAddress } from './web-address';

const LINKS = /\bhttps?:\/\/[^\s<>"]+/giu;
/** What belongs to the sentence around a link rather than to the link. */
const TRAILING = new Set(".,;:!?'*_~");
/** Each closing bracket with the one that opens it. */
const BRACKETS = new Map([
  [')', '('],
  [']', '['],
]);
/** What looks like a link is parsed this many times in a text at most: a failure is expensive. */
const MAX_TRIED = 100;

/**
 * The addresses of web pages in a text, in their order and each once.
 * @param max the search stops after so many.
 */
export function linksIn(text: string, max: number): string[] {
  const links = new Set<string>();
  let tried = 0;
  for (const [found] of text.matchAll(LINKS)) {
    const link = withoutSentence(found);
    if (parseWebAddress(link)) links.add(link);
    if (links.size === max || ++tried === MAX_TRIED) break;
  }
  return [...links];
}

/**
 * Cuts the end of the sentence: `(see https://example.org/a_(b)).` ends after `(b)`. A closing bracket is cut where
 * the link has more of its kind than it opens. Each character is looked at a fixed number of times.
 */
function withoutSentence(link: string): string {
  const counts = new Map<string, number>();
  for (const character of link) counts.set(character, (counts.get(character) ?? 0) + 1);
  const count = (character: string) => counts.get(character) ?? 0;
  let end = link.length;
  for (; end > 0; end--) {
    const last = link[end - 1]!;
    const open = BRACKETS.get(last);
    if (open === undefined ? !TRAILING.has(last) : count(open) >= count(last)) break;
    if (open !== undefined) counts.set(last, count(last) - 1);
  }
  return link.slice(0, end);
}
