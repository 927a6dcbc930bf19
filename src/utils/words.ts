/**
 * What separates words, as version 3 of MongoDB's text index has it in the language `none`: white space, dashes,
 * quotation marks, punctuation and symbols of syntax. A word found here is a word there.
 */
const WORDS =
  /[^\p{White_Space}\p{Dash}\p{Quotation_Mark}\p{Terminal_Punctuation}\p{Pattern_Syntax}\u00ad\u30fb\uff65]+/gu;
const MARKS = /[\p{Diacritic}\p{Mn}]/gu;
/** Scripts that put no spaces between words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/** A word of a text. */
export interface Word {
  /** Without regard to case and diacritical marks. */
  folded: string;
  /** Where it stands in the text, in UTF-16 code units; `end` is behind it. */
  start: number;
  end: number;
}

/** The words of a text in their order. */
export function wordsOf(text: string): Word[] {
  return [...text.matchAll(WORDS)].flatMap((match) => {
    const folded = fold(match[0]);
    return folded === '' ? [] : [{ folded, start: match.index, end: match.index + match[0].length }];
  });
}

/** Lower case without marks, code point by code point, as MongoDB's text index folds. */
function fold(word: string): string {
  let folded = '';
  for (const point of word.toLowerCase())
    folded += point.normalize('NFD').replace(MARKS, '').normalize('NFC');
  return folded;
}

/** Whether a word is of a script without spaces, so that it may be a whole sentence. */
export function isUnspaced(folded: string): boolean {
  return UNSPACED.test(folded);
}
