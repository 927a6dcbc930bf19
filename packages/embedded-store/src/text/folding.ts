/** Text without any letter with a mark, in which nothing can be stripped. */
const PLAIN = /^[^\P{ASCII}^`]*$/u;
const MARKS = /[\p{Diacritic}\p{Mn}]/gu;

/** Which differences count when texts are compared. */
export interface Sensitivity {
  caseSensitive: boolean;
  diacriticSensitive: boolean;
}

/** A text without its diacritical marks: é becomes e, and combining marks are removed. */
export function stripDiacritics(text: string): string {
  if (PLAIN.test(text)) return text;
  let stripped = '';
  for (const point of text) {
    stripped += point.normalize('NFD').replace(MARKS, '').normalize('NFC');
  }
  return stripped;
}

/** Lower case, code point by code point; Turkish has a special I. */
export function lowerCase(text: string, language: string): string {
  return language === 'turkish' ? text.toLocaleLowerCase('tr') : text.toLowerCase();
}

/** The form of a text in which phrases are searched. */
export function foldText(text: string, language: string, sensitivity: Sensitivity): string {
  // In Turkish, MongoDB ignores case whatever the query says.
  const folded = sensitivity.caseSensitive && language !== 'turkish' ? text : lowerCase(text, language);
  return sensitivity.diacriticSensitive ? folded : stripDiacritics(folded);
}
