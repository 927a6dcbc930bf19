import type { Highlight } from '../../models/search/search.model';
import { wordsOf } from '../../utils/words';
import type { ParsedQuery } from './search-query';
import { matchesWord } from './search-terms';

/** Returns the positions in a text of the words that match a query. Clients mark them up themselves. */
export function highlightsIn(body: string, { words, phrases }: ParsedQuery): Highlight[] {
  const inText = wordsOf(body);
  const matches = new Set<number>();
  for (const [index, { folded }] of inText.entries()) {
    if (words.some((word) => matchesWord(folded, word))) matches.add(index);
    for (const phrase of phrases) {
      const isMatch = phrase.every((word, offset) => {
        const found = inText[index + offset]?.folded;
        return found !== undefined && (found === word || (phrase.length === 1 && matchesWord(found, word)));
      });
      if (isMatch) phrase.forEach((_, offset) => matches.add(index + offset));
    }
  }
  return [...matches]
    .sort((one, other) => one - other)
    .flatMap((index) => {
      const word = inText[index];
      return word ? [{ start: word.start, end: word.end }] : [];
    });
}
