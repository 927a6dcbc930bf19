import { TEXTS, tooSlow, type Work } from '../../../tools/jest/linear-time';
import { findLanguage } from '../src/text/languages';
import { parseTextQuery } from '../src/text/query';
import { eachTerm } from '../src/text/tokenizer';

const english = findLanguage('english')!;

/** What reads text that users of Parley write, for each document that has a text index. */
const FUNCTIONS: [name: string, work: Work][] = [
  // Stems are cached, so each call gets another word.
  ['terms in English', (text, call) => eachTerm(text + call, english, () => undefined)],
  ['a text search', (text) => parseTextQuery(new Map([['$search', text]]))],
];

describe('the time that a text takes grows no faster than the text', () => {
  test.each(FUNCTIONS)('for %s', async (_, work) => {
    expect(await tooSlow(work, TEXTS)).toEqual({});
  });
});
