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
  return [...text.matchAll(WORDS)].flatMap((match) => {
    const folded = fold(match[0]);
    return folded === '' ? [] : [{ folded, start: match.index, end: match.index + match[0].length }];
  });
}

/** Folds a word as MongoDB's text index does: lower case without marks, code point by code point. */
function fold(word: string): string {
  let folded = '';
  for (const point of word.toLowerCase())
    folded += point.normalize('NFD').replace(MARKS, '').normalize('NFC');
  return folded;
}

/** Whether a word is in a script without spaces, so that it may be a whole sentence. */
export function isUnspaced(folded: string): boolean {
  return UNSPACED.test(folded);
}
