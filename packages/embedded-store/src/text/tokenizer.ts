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
/** The same for ASCII texts, which is faster. */
const ASCII = /^\p{ASCII}*$/u;
const ENGLISH_ASCII_WORDS = /[^\P{ASCII}\s!-&(-/:-@[-^`{-~]+/gu;

const INSENSITIVE: Sensitivity = { caseSensitive: false, diacriticSensitive: false };

/** Calls `visit` with each term of a text: without stop words, in lower case, stemmed, without diacritics. */
export function eachTerm(
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
  return text.match(ASCII.test(text) ? ENGLISH_ASCII_WORDS : ENGLISH_WORDS) ?? [];
}
