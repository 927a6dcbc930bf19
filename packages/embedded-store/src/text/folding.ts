/** Everything that is not a letter with a mark, in which nothing can be stripped. */
const PLAIN = /^[^\P{ASCII}^`]*$/u;
const MARKS = /[\p{Diacritic}\p{Mn}]/gu;

/** How texts are compared: which differences count. */
export interface Sensitivity {
  caseSensitive: boolean;
  diacriticSensitive: boolean;
}

/** A text without its diacritical marks: é becomes e, and marks of their own vanish. */
export function stripDiacritics(text: string): string {
  if (PLAIN.test(text)) return text;
  let stripped = '';
  for (const point of text) {
    stripped += point.normalize('NFD').replace(MARKS, '').normalize('NFC');
  }
  return stripped;
}

/** Lower case, code point by code point; Turkish has its own I. */
export function lowerCase(text: string, language: string): string {
  return language === 'turkish' ? text.toLocaleLowerCase('tr') : text.toLowerCase();
}

/** A text as phrases are searched in it. */
export function foldText(text: string, language: string, sensitivity: Sensitivity): string {
  // In Turkish, MongoDB compares without regard to case whatever the query says.
  const folded = sensitivity.caseSensitive && language !== 'turkish' ? text : lowerCase(text, language);
  return sensitivity.diacriticSensitive ? folded : stripDiacritics(folded);
}
