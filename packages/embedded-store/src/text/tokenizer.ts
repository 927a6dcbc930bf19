import { type Sensitivity, lowerCase, stripDiacritics } from './folding';
import type { Language } from './languages';

/**
 * The word separators in version 3 of MongoDB's text index: Unicode's White_Space, Dash, Hyphen, Quotation_Mark,
 * Terminal_Punctuation and Pattern_Syntax (JavaScript lacks Hyphen, so its members outside of the others are
 * listed). In English the apostrophe is part of the word.
 */
const DELIMITERS =
  '\\p{White_Space}\\p{Dash}\\p{Quotation_Mark}\\p{Terminal_Punctuation}\\p{Pattern_Syntax}\\u00ad\\u30fb\\uff65';
const ENGLISH_WORDS = new RegExp(`(?:'|[^${DELIMITERS}])+`, 'gu');
const OTHER_WORDS = new RegExp(`[^${DELIMITERS}]+`, 'gu');

/** For each ASCII character whether it is part of a word, in English and in other languages. */
const ENGLISH_TABLE = wordTable(ENGLISH_WORDS);
const OTHER_TABLE = wordTable(OTHER_WORDS);

function wordTable(words: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => (String.fromCharCode(code).match(words) ? 1 : 0));
}

const INSENSITIVE: Sensitivity = { caseSensitive: false, diacriticSensitive: false };

/** Calls `visit` with each term of a text: without stop words, in lower case, stemmed, without diacritics. */
export function eachTerm(
  text: string,
  language: Language,
  visit: (term: string) => void,
  options: Sensitivity & { keepStopWords?: boolean } = INSENSITIVE,
): void {
  const isEnglish = language.name === 'english';
  // The stemmers of these two make no letter with a mark of a word without one.
  if (!options.caseSensitive && (isEnglish || language.name === 'none') && isAscii(text)) {
    eachAsciiTerm(text, language, isEnglish ? ENGLISH_TABLE : OTHER_TABLE, visit, options.keepStopWords);
    return;
  }
  eachWordTerm(text, language, visit, options);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/** The same for a text without other characters, which needs no regular expressions and no folding of each word. */
function eachAsciiTerm(
  text: string,
  language: Language,
  table: Uint8Array,
  visit: (term: string) => void,
  keepStopWords = false,
): void {
  const lower = text.toLowerCase();
  for (let at = 0; at < lower.length; at++) {
    if (table[lower.charCodeAt(at)] === 0) continue;
    const start = at;
    while (at < lower.length && table[lower.charCodeAt(at)] === 1) at++;
    const word = lower.slice(start, at);
    if (keepStopWords || !language.stopWords.has(word)) visit(language.stem(word));
  }
}

/** The same for any text. Exported so that tests compare it with the fast way. */
export function eachWordTerm(
  text: string,
  language: Language,
  visit: (term: string) => void,
  options: Sensitivity & { keepStopWords?: boolean } = INSENSITIVE,
): void {
  for (const word of words(text, language)) {
    const lower = lowerCase(word, language.name);
    if (options.keepStopWords !== true && language.stopWords.has(lower)) continue;
    const stem = language.stem(options.caseSensitive ? word : lower);
    visit(options.diacriticSensitive ? stem : stripDiacritics(stem));
  }
}

function words(text: string, language: Language): Iterable<string> {
  if (language.name !== 'english') return text.match(OTHER_WORDS) ?? [];
  return text.match(ENGLISH_WORDS) ?? [];
}
