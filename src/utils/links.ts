import { parseWebAddress } from './web-address';

const LINKS = /\bhttps?:\/\/[^\s<>"]+/giu;
/** Characters at the end of a link that belong to the sentence around it. */
const TRAILING = new Set(".,;:!?'*_~");
/** Each closing bracket with the one that opens it. */
const BRACKETS = new Map([
  [')', '('],
  [']', '['],
]);
/** The most candidates that are parsed in one text: a failure is expensive. */
const MAX_TRIED = 100;

/**
 * Returns the distinct web addresses in a text, in their order.
 * @param max the largest number of addresses.
 */
export function linksIn(text: string, max: number): string[] {
  // Most texts have no link.
  if (!text.includes('://')) return [];
  const links = new Set<string>();
  let tried = 0;
  for (const [found] of text.matchAll(LINKS)) {
    const link = trimSentence(found);
    if (parseWebAddress(link)) links.add(link);
    if (links.size === max || ++tried === MAX_TRIED) break;
  }
  return [...links];
}

/**
 * Removes the end of the sentence: `(see https://example.org/a_(b)).` ends after `(b)`. A closing bracket is removed when
 * the link has more closing than opening ones of its kind. Takes linear time.
 */
function trimSentence(link: string): string {
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
