/**
 * Words as version 3 of MongoDB's text index splits them in the language `none`: at white space, dashes, quotation marks,
 * punctuation and symbols of syntax.
 */
const WORDS =
  /[^\p{White_Space}\p{Dash}\p{Quotation_Mark}\p{Terminal_Punctuation}\p{Pattern_Syntax}\u00ad\u30fb\uff65]+/gu;
const MARKS = /[\p{Diacritic}\p{Mn}]/gu;
/** Scripts without spaces between words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

const ASCII = /^[\0-\x7f]*$/;

/** Whether each ASCII character separates words, by its code: WORDS restricted to ASCII. */
const SEPARATES = Uint8Array.from({ length: 128 }, (_, code) =>
  String.fromCharCode(code).search(WORDS) === -1 ? 1 : 0,
);

/** A word of a text. */
export interface Word {
  /** The word in lower case and without diacritical marks. */
  folded: string;
  /** The position in the text, in UTF-16 code units; `end` is exclusive. */
  start: number;
  end: number;
}

/** Returns the words of a text in their order. */
export function wordsOf(text: string): Word[] {
  if (ASCII.test(text)) return wordsOfAscii(text);
  const words: Word[] = [];
  for (const { 0: word, index: start } of text.matchAll(WORDS)) {
    const folded = fold(word);
    if (folded !== '') words.push({ folded, start, end: start + word.length });
  }
  return words;
}

/** Does the same as `wordsOf` in a fraction of the time: ASCII has no marks, and no letters to decompose. */
function wordsOfAscii(text: string): Word[] {
  const lower = text.toLowerCase();
  const words: Word[] = [];
  let start = 0;
  for (let end = 0; end <= lower.length; end++) {
    if (end < lower.length && SEPARATES[lower.charCodeAt(end)] === 0) continue;
    if (end > start) words.push({ folded: lower.slice(start, end), start, end });
    start = end + 1;
  }
  return words;
}

/** Folds a word as MongoDB's text index does: lower case without marks, code point by code point. */
function fold(word: string): string {
  if (ASCII.test(word)) return word.toLowerCase();
  let folded = '';
  for (const point of word.toLowerCase())
    folded += point.normalize('NFD').replace(MARKS, '').normalize('NFC');
  return folded;
}

/** Whether a word is in a script without spaces, so that it may be a whole sentence. */
export function isUnspaced(folded: string): boolean {
  return !ASCII.test(folded) && UNSPACED.test(folded);
}
