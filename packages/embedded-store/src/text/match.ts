import type { Document } from '../bson/types';
import { eachText } from './elements';
import { foldText } from './folding';
import type { Language } from './languages';
import type { TextQuery } from './query';
import type { TextIndex } from './text-index';
import { eachTerm } from './tokenizer';

/**
 * Whether a document with one of the terms matches a search: it has every phrase, no negated word or phrase and, if
 * case or diacritics count, one of the terms in exactly this form.
 */
export function matchText(query: TextQuery, index: TextIndex, document: Document): boolean {
  if (!query.needsDocument) return true;
  const texts: { text: string; language: Language }[] = [];
  eachText(index, document, (text, language) => texts.push({ text, language }));
  const has = (terms: ReadonlySet<string>): boolean =>
    texts.some(({ text, language }) => {
      let found = false;
      const options = { ...query, keepStopWords: true };
      eachTerm(text, language, (term) => (found ||= terms.has(term)), options);
      return found;
    });
  const hasPhrase = (phrase: string): boolean =>
    texts.some(({ text, language }) =>
      foldText(text, language.name, query).includes(foldText(phrase, language.name, query)),
    );
  if ((query.caseSensitive || query.diacriticSensitive) && !has(query.terms)) return false;
  if (query.negatedTerms.size > 0 && has(query.negatedTerms)) return false;
  return query.phrases.every(hasPhrase) && !query.negatedPhrases.some(hasPhrase);
}
