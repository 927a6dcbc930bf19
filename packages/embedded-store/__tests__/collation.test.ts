import { fromPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { compileCollation, type Collator } from '../src/query/collation';

const collator = (spec: object): Collator => compileCollation(fromPlain(spec) as Document) as Collator;

const WORDS = [
  ...[
    'Ann',
    'ann',
    'ANN',
    'Änn',
    'A\u0308nn',
    'straße',
    'STRASSE',
    'Aarhus',
    'Århus',
    'århus',
    'и',
    'й',
    'И',
  ],
  ...[
    "o'neil",
    'o’neil',
    'ﬁsh',
    'fish',
    'ＡＢＣ',
    'abc',
    'a\u200db',
    'ab',
    'ı',
    'i',
    'I',
    'İ',
    'a1',
    'a01',
    'a10',
    'a-b',
  ],
  ...[
    'カ',
    'か',
    'ｶ',
    'ガ',
    'ｶﾞ',
    '가',
    '\u1100\u1161',
    'ё',
    'е',
    'ñ',
    'n',
    'æ',
    'ae',
    '…',
    '...',
    '',
    ' ',
    '①',
    '1',
  ],
];

test.each([
  { locale: 'en', strength: 1 },
  { locale: 'en', strength: 2 },
  { locale: 'en', strength: 3 },
  { locale: 'en', strength: 1, caseLevel: true },
  { locale: 'en', strength: 2, numericOrdering: true },
  { locale: 'en', strength: 2, alternate: 'shifted' },
  { locale: 'da', strength: 1 },
  { locale: 'tr', strength: 2 },
  { locale: 'ru', strength: 1 },
  { locale: 'de@collation=phonebook', strength: 1 },
])('keys are equal exactly when strings are: %j', (spec) => {
  const c = collator(spec);
  const wrong = WORDS.flatMap((a) =>
    WORDS.filter((b) => (c.compare(a, b) === 0) !== (c.key(a) === c.key(b))).map((b) => [a, b]),
  );
  expect(wrong).toEqual([]);
});

test('one collation gives one collator', () => {
  expect(collator({ locale: 'en', strength: 2 })).toBe(collator({ strength: 2, locale: 'en' }));
  expect(compileCollation(undefined)).toBeUndefined();
  expect(compileCollation(fromPlain({ locale: 'simple' }) as Document)).toBeUndefined();
});

test.each<[object, number]>([
  [{}, 40414],
  [{ locale: 'xx-nope' }, 2],
  [{ locale: 5 }, 14],
  [{ locale: 'en', strength: 6 }, 2],
  [{ locale: 'en', strength: 4 }, 2],
  [{ locale: 'en', strength: 'x' }, 14],
  [{ locale: 'en', frob: 1 }, 40415],
  [{ locale: 'en', caseFirst: 'x' }, 2],
  [{ locale: 'en', backwards: true }, 2],
])('%j is refused with %i', (spec, code) => {
  expect(() => compileCollation(fromPlain(spec) as Document)).toThrow(expect.objectContaining({ code }));
});
