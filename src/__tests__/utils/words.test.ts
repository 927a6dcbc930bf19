import fc from 'fast-check';
import { searchFieldsOf } from '../../services/search/search-terms';
import { wordsOf } from '../../utils/words';

/** The definitions, word for word as MongoDB's text index and `MessageSearchFields` document them, without shortcuts. */
const WORDS =
  /[^\p{White_Space}\p{Dash}\p{Quotation_Mark}\p{Terminal_Punctuation}\p{Pattern_Syntax}\u00ad\u30fb\uff65]+/gu;
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

function plainWords(text: string) {
  return [...text.matchAll(WORDS)].flatMap(({ 0: word, index: start }) => {
    const folded = [...word.toLowerCase()]
      .map((point) =>
        point
          .normalize('NFD')
          .replace(/[\p{Diacritic}\p{Mn}]/gu, '')
          .normalize('NFC'),
      )
      .join('');
    return folded === '' ? [] : [{ folded, start, end: start + word.length }];
  });
}

function plainFields(body: string) {
  const words = plainWords(body).map(({ folded }) => folded);
  const keys = new Set(['__from__sender']);
  if (/\bhttps?:\/\/[^\s<>"]/i.test(body)) keys.add('__has__link');
  for (const word of words) {
    const points = [...word];
    if (UNSPACED.test(word)) points.slice(1).forEach((point, index) => keys.add(`_${points[index]}${point}`));
    else
      for (const length of [3, 5, 8])
        if (length < points.length) keys.add(`_${points.slice(0, length).join('')}`);
  }
  const text = words.map((word) => (UNSPACED.test(word) ? '\n' : ' ') + word).join('');
  return { text: `${text} `, keys: [...keys].join(' ') };
}

const part = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom(
    ' ',
    '-',
    '_',
    "'",
    '\0',
    '\x7f',
    'https://a.b',
    'HTTP://',
    '://',
    'ÅÉ',
    'ΣΑΣ',
    'İ',
    'ß',
    '東京都',
    'ไทย',
  ),
);
const bodies = fc.array(part, { maxLength: 12 }).map((parts) => parts.join(''));

test('the words of any text are those of the definition', () => {
  fc.assert(
    fc.property(bodies, (text) => expect(wordsOf(text)).toEqual(plainWords(text))),
    { numRuns: 2000 },
  );
});

test('the search fields of any text are those of the definition', () => {
  fc.assert(
    fc.property(bodies, (text) => expect(searchFieldsOf(text, 'sender')).toEqual(plainFields(text))),
    { numRuns: 2000 },
  );
});
