import type { Highlight } from '../../models/search/search.model';
import { wordsOf } from '../../utils/words';
import type { ParsedQuery } from './search-query';
import { matchesWord } from './search-terms';

/** Where the words of a query stand in a text. The text stays as it is: clients draw the marks themselves. */
export function highlightsIn(body: string, { words, phrases }: ParsedQuery): Highlight[] {
  const inText = wordsOf(body);
  const marked = new Set<number>();
  for (const [index, { folded }] of inText.entries()) {
    if (words.some((word) => matchesWord(folded, word))) marked.add(index);
    for (const phrase of phrases) {
      const isHere = phrase.every((word, offset) => {
        const there = inText[index + offset]?.folded;
        return there !== undefined && (there === word || (phrase.length === 1 && matchesWord(there, word)));
      });
      if (isHere) phrase.forEach((_, offset) => marked.add(index + offset));
    }
  }
  return [...marked]
    .sort((one, other) => one - other)
    .flatMap((index) => {
      const word = inText[index];
      return word ? [{ start: word.start, end: word.end }] : [];
    });
}
