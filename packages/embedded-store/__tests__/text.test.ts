import fc from 'fast-check';
import { decode, encode, fromPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { readDefinition } from '../src/storage/definition';
import { textEntries, textTerms } from '../src/text/entries';
import { findLanguage, type Language } from '../src/text/languages';
import { matchText } from '../src/text/match';
import { parseTextQuery } from '../src/text/query';
import { searchText } from '../src/text/search';
import { compileTextIndex, completeTextSpec } from '../src/text/text-index';
import { eachTerm, eachWordTerm } from '../src/text/tokenizer';

type Options = NonNullable<Parameters<typeof eachTerm>[3]>;

const document = (plain: object): Document => fromPlain(plain) as Document;
const indexOn = (spec: object) => compileTextIndex(readDefinition(completeTextSpec(document(spec))));
const body = indexOn({ key: { b: 'text' } });

/** A search over documents held in memory: found ids and their scores, best first. */
function search(spec: object | string, docs: Document[], index = body): [unknown, number][] {
  const query = parseTextQuery(document(typeof spec === 'string' ? { $search: spec } : spec), index.language);
  const terms = docs.map((doc) => textTerms(index, doc));
  const scores = searchText(query, function* (term) {
    for (const [recordId, scored] of terms.entries()) {
      const score = scored.get(term);
      if (score !== undefined) yield { recordId, score };
    }
  });
  return [...scores]
    .filter(([id]) => matchText(query, index, docs[id] as Document))
    .sort((a, b) => b[1] - a[1])
    .map(([id, score]) => [id + 1, score]);
}
const ids = (...found: Parameters<typeof search>): unknown[] =>
  search(...found)
    .map(([id]) => id)
    .sort();

const notes = [
  'The quick brown fox jumps',
  'Lazy dogs sleep; foxes run',
  'Running in the park, quickly',
  'nothing here',
  'quick quick quick fox',
  'café CAFE résumé',
].map((b) => document({ b }));

describe('text search', () => {
  it.each([
    ['fox', [1, 2, 5]],
    ['quick fox', [1, 2, 3, 5]],
    ['"brown fox"', [1]],
    ['"Brown FOX"', [1]],
    ['"brown fo"', [1]],
    ['fox -quick', [2]],
    ['fox -"quick brown"', [2, 5]],
    ['fox - quick', [1, 2, 3, 5]],
    ['-fox', []],
    ['run', [2, 3]],
    ['RUNNING', [2, 3]],
    ['cafe', [6]],
    // Stems are taken before the marks: resume → resum, but résumé → resume.
    ['RESUME', []],
    ['résumé', [6]],
    ['the', []],
    ['zebra', []],
    ['', []],
    ['dog-fox', [1, 2, 5]],
    ['quick -brown-lazy', [3, 5]],
  ])('%j finds %j', (words, expected) => {
    expect(ids(words, notes)).toEqual(expected);
  });

  it('scores as MongoDB does', () => {
    expect(search('quick fox', notes)).toEqual([
      [5, 2.15625],
      [1, 1.25],
      [3, 2 / 3],
      [2, 0.6],
    ]);
  });

  it('gives a tenth more to a term that is the whole text', () => {
    expect(search('fox', [document({ b: 'fox' }), document({ b: 'fox trot' })])).toEqual([
      [1, 1.1],
      [2, 0.75],
    ]);
  });

  it('minds case and diacritics when asked to', () => {
    expect(ids({ $search: 'CAFE', $caseSensitive: true }, notes)).toEqual([6]);
    expect(ids({ $search: 'Cafe', $caseSensitive: true }, notes)).toEqual([]);
    expect(ids({ $search: 'café', $diacriticSensitive: true }, notes)).toEqual([6]);
    expect(ids({ $search: 'resume', $diacriticSensitive: true }, notes)).toEqual([]);
    expect(ids({ $search: '"quick brown"', $caseSensitive: true }, notes)).toEqual([1]);
    expect(ids({ $search: '"Quick brown"', $caseSensitive: true }, notes)).toEqual([]);
  });

  it('weighs fields and adds their scores', () => {
    const index = indexOn({ key: { t: 'text', b: 'text' }, weights: { t: 10 } });
    expect(textTerms(index, document({ t: 'fox', b: 'a fox' }))).toEqual(new Map([['fox', 11 + 1]]));
  });

  it('reads arrays, documents and the wildcard', () => {
    const deep = indexOn({ key: { 'a.t': 'text' } });
    expect([...textTerms(deep, document({ a: [{ t: 'one' }, { t: ['two'] }, 'three'] })).keys()]).toEqual([
      'one',
      'two',
    ]);
    const all = indexOn({ key: { '$**': 'text' } });
    expect([...textTerms(all, document({ a: { b: ['cat', ['dog']] }, c: 1, d: 'bird' })).keys()]).toEqual([
      'cat',
      'dog',
      'bird',
    ]);
  });

  it('takes the language from the query, the index and the document', () => {
    const german = indexOn({ key: { b: 'text' }, default_language: 'german' });
    const docs = [document({ b: 'die Häuser' }), document({ b: 'running foxes', language: 'en' })];
    expect(ids('Haus', docs, german)).toEqual([1]);
    expect(ids({ $search: 'run', $language: 'english' }, docs, german)).toEqual([2]);
    expect(
      ids({ $search: 'the', $language: 'none' }, [document({ b: 'the fox', language: 'none' })]),
    ).toEqual([1]);
    expect(() => textTerms(body, document({ b: 'x', language: 'klingon' }))).toThrow(/language override/);
    expect(() => textTerms(body, document({ b: 'x', language: 1 }))).toThrow(/non-string/);
  });

  it('separates words as version 3 does', () => {
    const terms = (text: string): string[] => [...textTerms(body, document({ b: text })).keys()];
    expect(terms("don't stop_me o'clock")).toEqual(['stop_m', "o'clock"]);
    expect(terms('a-b c…d «e» f—g ¿h? 日本語')).toEqual(['b', 'c', 'd', 'e', 'f', 'g', 'h', '日本語']);
  });

  it('finds the same terms in ASCII texts, for which it has a faster way', () => {
    const character = fc.constantFrom(
      ...'aAbEeIizsTy 01_\'"^`-.,\t\n\0\x1c\x7f'.split(''),
      'the ',
      'running',
      "n't",
      'É',
      '\u00ad',
    );
    const texts = fc.oneof(
      fc.string({ unit: character, maxLength: 40 }),
      fc.string({ unit: 'binary-ascii' }),
    );
    const termsBy = (way: typeof eachTerm, ...[text, language, options]: [string, Language, Options]) => {
      const terms: string[] = [];
      way(text, language, (term) => terms.push(term), options);
      return terms;
    };
    const sensitivity = fc.record({
      caseSensitive: fc.boolean(),
      diacriticSensitive: fc.boolean(),
      keepStopWords: fc.boolean(),
    });
    fc.assert(
      fc.property(
        texts,
        fc.constantFrom('english', 'none', 'turkish', 'french'),
        sensitivity,
        (text, name, options) => {
          const language = findLanguage(name) as Language;
          expect(termsBy(eachTerm, text, language, options)).toEqual(
            termsBy(eachWordTerm, text, language, options),
          );
        },
      ),
      { seed: 1, numRuns: 1_000 },
    );
  });

  it('gives index entries with their prefix, and short keys for long words', () => {
    const index = indexOn({ key: { ch: 1, b: 'text', at: -1 } });
    const long = 'x'.repeat(5000);
    const { prefix, terms } = textEntries(index, document({ ch: 7, b: `fox ${long}` }));
    expect(prefix).toEqual([fromPlain(7)]);
    expect(Math.max(...[...terms.keys()].map((term) => Buffer.byteLength(term)))).toBeLessThan(256);
    expect(ids(long, [document({ b: long })])).toEqual([1]);
    expect(() => textEntries(index, document({ ch: [1], b: 'x' }))).toThrow(/multi-key/);
    expect(() => textEntries(index, document({ at: [1], b: 'x' }))).toThrow(/multi-key/);
  });
});

describe('the specification of a text index', () => {
  it('is completed as listIndexes shows it, once', () => {
    const spec = completeTextSpec(document({ key: { ch: 1, b: 'text', a: 'text' }, name: 'x' }));
    expect(decode(encode(spec))).toEqual(
      document({
        key: { ch: 1, _fts: 'text', _ftsx: 1 },
        name: 'x',
        weights: { a: 1, b: 1 },
        default_language: 'english',
        language_override: 'language',
        textIndexVersion: 3,
      }),
    );
    expect(completeTextSpec(spec)).toEqual(spec);
  });

  it.each([
    [{ key: { a: 'text', b: 1, c: 'text' } }],
    [{ key: { a: 'text', b: '2d' } }],
    [{ key: { a: 'text' }, weights: { a: 0 } }],
    [{ key: { a: 'text' }, weights: { a: 'x' } }],
    [{ key: { a: 'text' }, weights: 3 }],
    [{ key: { a: 'text' }, default_language: 'klingon' }],
    [{ key: { a: 'text' }, language_override: 'a.b' }],
    [{ key: { a: 'text' }, textIndexVersion: 1 }],
  ])('%j is refused', (spec) => {
    expect(() => completeTextSpec(document(spec))).toThrow(expect.objectContaining({ code: 67 }));
  });
});

describe('the argument of $text', () => {
  it.each([
    [{ $search: 1 }, 14],
    [{}, 4],
    [{ $search: 'x', $frob: 1 }, 2],
    [{ $search: 'x', $language: 'klingon' }, 2],
    [{ $search: 'x', $caseSensitive: 1 }, 14],
  ])('%j is refused with %i', (spec, code) => {
    expect(() => parseTextQuery(document(spec))).toThrow(expect.objectContaining({ code }));
  });
});
