import { isImage, type StoredAttachment } from '../../models/files/attachment.model';
import type { MessageSearchFields } from '../../models/message.model';
import { isUnspaced, wordsOf } from '../../utils/words';

/** The lengths of the word prefixes that the index holds, in code points. */
const PREFIX_LENGTHS = [3, 5, 8];
/** The length in code points from which a prefix matches a word. */
const MIN_PREFIX_LENGTH = 3;

const LINK = /\bhttps?:\/\/[^\s<>"]/i;

/** Precedes every term of the index that is not a whole word, so that it cannot equal a word. */
const KEY_MARK = '_';
/** The terms of features are longer than the term of any word. */
export const LINK_KEY = '__has__link';
export const FILE_KEY = '__has__file';
export const IMAGE_KEY = '__has__image';
export const senderKey = (senderId: string): string => `__from__${senderId}`;

/** Returns the search fields that are stored with a message. @param senderId in hexadecimal digits. */
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
  if (isUnspaced(word))
    return points.slice(1).map((point, index) => KEY_MARK + (points[index] ?? '') + point);
  return PREFIX_LENGTHS.filter((length) => length < points.length).map(
    (length) => KEY_MARK + points.slice(0, length).join(''),
  );
}

/** Returns the index terms that find the words which match `word`; they also find some that do not match. */
export function indexTermsOf(word: string): string[] {
  const points = [...word];
  const terms = [word];
  if (points.length >= 2) terms.push(KEY_MARK + points.slice(0, 2).join(''));
  const prefix = PREFIX_LENGTHS.findLast((length) => length <= points.length);
  if (prefix !== undefined) terms.push(KEY_MARK + points.slice(0, prefix).join(''));
  return terms;
}

/**
 * Whether a word of a text matches a word of a query: it is equal, it begins with it (of three letters or more), or it
 * belongs to a script without spaces and contains it (of two letters or more).
 */
export function matchesWord(inText: string, inQuery: string): boolean {
  if (inText === inQuery) return true;
  const { length } = [...inQuery];
  if (isUnspaced(inText)) return length >= 2 && inText.includes(inQuery);
  return length >= MIN_PREFIX_LENGTH && inText.startsWith(inQuery);
}

/** Returns a regular expression that applies the rule of `matchesWord` to `MessageSearchFields.text`. */
export function wordPattern(word: string): string {
  const { length } = [...word];
  const plain = length >= MIN_PREFIX_LENGTH ? `[ \\n]${escape(word)}` : exactPattern([word]);
  return length >= 2 ? `${plain}|${insidePattern(word)}` : plain;
}

/** Returns a regular expression for words in sequence; a single word of a script without spaces matches inside another. */
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
