import { isImage, type StoredAttachment } from '../../models/files/attachment.model';
import type { MessageSearchFields } from '../../models/message.model';
import { isUnspaced, wordsOf } from '../../utils/words';

/** How long the beginnings of words are that the index holds, in code points. */
const PREFIX_LENGTHS = [3, 5, 8];
/** From how many code points on the beginning of a word is enough to find it. */
const SHORTEST_PREFIX = 3;

const LINK = /\bhttps?:\/\/[^\s<>"]/i;

/** Stands before what is no word, so that the index does not mix them up. */
const KEY = '_';
/** These are longer than the key of any word. */
export const LINK_KEY = '__has__link';
export const FILE_KEY = '__has__file';
export const IMAGE_KEY = '__has__image';
export const senderKey = (senderId: string): string => `__from__${senderId}`;

/** @param senderId in hexadecimal. */
export function searchFieldsOf(
  body: string,
  senderId: string,
  attachments: readonly StoredAttachment[] = [],
): MessageSearchFields {
  const words = wordsOf(body).map(({ folded }) => folded);
  const keys = new Set([senderKey(senderId)]);
  if (LINK.test(body)) keys.add(LINK_KEY);
  if (attachments.length > 0) keys.add(FILE_KEY);
  if (attachments.some(isImage)) keys.add(IMAGE_KEY);
  for (const word of new Set(words)) for (const key of keysOfWord(word)) keys.add(key);
  const text = words.map((word) => `${isUnspaced(word) ? '\n' : ' '}${word}`).join('');
  return { text: `${text} `, keys: [...keys].join(' ') };
}

function keysOfWord(word: string): string[] {
  const points = [...word];
  if (isUnspaced(word)) return points.slice(1).map((point, index) => KEY + (points[index] ?? '') + point);
  return PREFIX_LENGTHS.filter((length) => length < points.length).map(
    (length) => KEY + points.slice(0, length).join(''),
  );
}

/** Under what the index holds the words that match `word`; some of what it finds does not match. */
export function lookupsOf(word: string): string[] {
  const points = [...word];
  const lookups = [word];
  if (points.length >= 2) lookups.push(KEY + points.slice(0, 2).join(''));
  const prefix = PREFIX_LENGTHS.findLast((length) => length <= points.length);
  if (prefix !== undefined) lookups.push(KEY + points.slice(0, prefix).join(''));
  return lookups;
}

/**
 * Whether a word of a text matches one of a query: it is the same, it begins with it (from three letters on), or
 * it is of a script without spaces and contains it (from two).
 */
export function matchesWord(inText: string, inQuery: string): boolean {
  if (inText === inQuery) return true;
  const { length } = [...inQuery];
  if (isUnspaced(inText)) return length >= 2 && inText.includes(inQuery);
  return length >= SHORTEST_PREFIX && inText.startsWith(inQuery);
}

/** The same as `matchesWord`, as a pattern for `MessageSearchFields.text`. */
export function wordPattern(word: string): string {
  const { length } = [...word];
  const plain = length >= SHORTEST_PREFIX ? `[ \\n]${escape(word)}` : exactPattern([word]);
  return length >= 2 ? `${plain}|${insidePattern(word)}` : plain;
}

/** Words that stand behind each other just so; a single one of a script without spaces may be a part. */
export function phrasePattern(words: readonly string[]): string {
  const [first] = words;
  if (words.length === 1 && first !== undefined && isUnspaced(first)) {
    return `${exactPattern(words)}|${insidePattern(first)}`;
  }
  return exactPattern(words);
}

const exactPattern = (words: readonly string[]): string =>
  `[ \\n]${words.map((word) => `${escape(word)}[ \\n]`).join('')}`;
const insidePattern = (word: string): string => `\\n[^ \\n]*${escape(word)}`;

const escape = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
