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
  const keys = new Set([senderKey(senderId)]);
  if (body.includes('://') && LINK.test(body)) keys.add(LINK_KEY);
  if (attachments.length > 0) keys.add(FILE_KEY);
  if (attachments.some(isImage)) keys.add(IMAGE_KEY);
  let text = '';
  for (const { folded } of wordsOf(body)) {
    const unspaced = isUnspaced(folded);
    text += (unspaced ? '\n' : ' ') + folded;
    if (unspaced) addPairs(keys, folded);
    else addPrefixes(keys, folded);
  }
  return { text: `${text} `, keys: [...keys].join(' ') };
}

/** Adds each pair of neighbouring code points of a word in a script without spaces. */
function addPairs(keys: Set<string>, word: string): void {
  let previous: string | undefined;
  for (const point of word) {
    if (previous !== undefined) keys.add(KEY_MARK + previous + point);
    previous = point;
  }
}

/** Adds the prefixes of a word that are shorter than the word. */
function addPrefixes(keys: Set<string>, word: string): void {
  let points = 0;
  let end = 0;
  // No prefix is longer than 8 code points, so the rest of a long word need not be read.
  for (const point of word) {
    if (PREFIX_LENGTHS.includes(points)) keys.add(KEY_MARK + word.slice(0, end));
    if (points === PREFIX_LENGTHS.at(-1)) return;
    points++;
    end += point.length;
  }
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
