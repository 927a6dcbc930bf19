import fc from 'fast-check';
import { canonicalName, emailKey, lookalikesOf, searchKey, shownLookalikesOf } from '../../utils/name-keys';
import { endOfPrefix } from '../../utils/prefix';
import { faultOfName } from '../../utils/visible-name';

const alike = (one: string, other: string, keys = lookalikesOf) =>
  keys(one).some((key) => keys(other).includes(key));

/** Texts of the letters and marks with special folding rules, and of any other characters. */
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 12 }).filter((one) => one.isWellFormed()),
  fc.string({
    unit: fc.constantFrom(...'aAzZ019lLoOmIiİıſßẞσςΣŉǰΐﬁﬀ½Ⅷㄱ가ｶﾞＡａ é́̈\u0345ᾳΆ \u00a0\u3000-'),
    maxLength: 12,
  }),
);
const IGNORABLE = ['\u200b', '\u200c', '\u200d', '\u2060', '\ufeff', '\u00ad', '\u202e', '\u034f', '\ufe0f'];

describe('the canonical key of a name', () => {
  const check = (holds: (name: string) => void) => fc.assert(fc.property(text, holds), { numRuns: 500 });

  it('is idempotent', () =>
    check((name) => expect(canonicalName(canonicalName(name))).toBe(canonicalName(name))));

  it('does not depend on the encoding of characters', () =>
    check((name) => {
      for (const form of ['NFC', 'NFD', 'NFKC', 'NFKD'])
        expect(canonicalName(name.normalize(form))).toBe(canonicalName(name));
    }));

  it('does not depend on the case of letters', () =>
    check((name) => {
      // Changing the case of a whole text changes words: a final sigma, a dotted capital I.
      const letters = [...name.normalize('NFC')].filter(
        (letter) =>
          !['ı', 'İ', '\u0345'].some((odd) => letter.normalize('NFD').includes(odd.normalize('NFD'))),
      );
      for (const change of ['toUpperCase', 'toLowerCase'] as const) {
        const other = letters.map((letter) => letter[change]()).join('');
        expect(canonicalName(other)).toBe(canonicalName(letters.join('')));
      }
    }));

  it('does not depend on invisible characters, wherever they are', () =>
    fc.assert(
      fc.property(text, fc.constantFrom(...IGNORABLE), fc.nat(12), (name, ignorable, place) => {
        const points = [...name];
        points.splice(Math.min(place, points.length), 0, ignorable);
        expect(canonicalName(points.join(''))).toBe(canonicalName(name));
      }),
      { numRuns: 500 },
    ));

  it.each([
    ['  Ada \u00a0 Lovelace ', 'ada lovelace'],
    ['ＡＤＡ', 'ada'],
    ['Straße', 'strasse'],
    ['ΟΔΟΣ', 'οδοσ'],
    ['ﬁne', 'fine'],
    ['می‌خواهم', 'میخواهم'],
    ['👩‍🚀', '👩🚀'],
    ['ısı', 'ısı'],
  ])('of %j is %j', (name, key) => expect(canonicalName(name)).toBe(key));

  it('keeps accents, which only the search key omits', () => {
    expect(canonicalName('Café')).not.toBe(canonicalName('Cafe'));
    expect(searchKey('Café')).toBe('cafe');
    expect(searchKey('राम')).toBe('राम');
  });

  it('of a prefix is a prefix of the search key', () =>
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'aAéÉßlо0 ñ😀Ως'), minLength: 1, maxLength: 8 }),
        fc.nat(8),
        (name, cut) => {
          const beginning = searchKey([...name].slice(0, cut).join(''));
          expect(searchKey(name).startsWith(beginning)).toBe(true);
          expect(Buffer.compare(Buffer.from(searchKey(name)), Buffer.from(endOfPrefix(beginning)))).toBe(-1);
        },
      ),
    ));
});

describe('look-alikes', () => {
  it.each([
    ['ada1', 'adal'],
    ['ada1', 'adaI'],
    ['paypal', 'paypaI'],
    ['user10', 'userlo'],
    ['b0b', 'BOB'],
    ['modern', 'modem'],
    ['Bob', 'Воb'],
    ['Bob', 'ВОВ'],
    ['scope', 'ѕсоре'],
    ['Ada', 'Αda'],
    ['General', 'Gеneral'],
    ['a-b', 'a‐b'],
    ['Café', 'Cafe\u0301'],
    ['x', 'x\u200b'],
  ])('%j and %j are look-alikes', (one, other) => expect(alike(one, other)).toBe(true));

  it.each([
    ['ada1', 'ada2'],
    ['ada1', 'ada10'],
    ['user10', 'user01'],
    ['Café', 'Cafe'],
    ['Сергей', 'Sergei'],
    ['محمد', 'أحمد'],
    ['दिल', 'दल'],
  ])('%j and %j are not look-alikes', (one, other) => {
    expect(alike(one, other)).toBe(false);
    expect(alike(one, other, shownLookalikesOf)).toBe(false);
  });

  it('do not include two numbered names', () => {
    const keys = Array.from({ length: 3000 }, (_, index) => lookalikesOf(`person${index}`)).flat();
    expect(new Set(keys).size).toBe(3000);
  });

  it('"Ian" looks like "lan" and not like "Lan"', () => {
    expect(alike('Ian', 'lan', shownLookalikesOf)).toBe(true);
    expect(alike('Ian', 'Lan', shownLookalikesOf)).toBe(false);
    expect(alike('Воb', 'Bob', shownLookalikesOf)).toBe(true);
    expect(alike('ВОВ', 'Bob', shownLookalikesOf)).toBe(true);
  });

  it('take the same time for each character', () => {
    const time = (name: string) => {
      const start = process.hrtime.bigint();
      for (let run = 0; run < 10; run++) {
        for (const work of [lookalikesOf, shownLookalikesOf, faultOfName]) work(name);
      }
      return Number(process.hrtime.bigint() - start);
    };
    const nasty = (length: number) => '\u05d0\u064b\u200d'.repeat(length);
    time(nasty(100));
    expect(time(nasty(2000)) / time(nasty(200))).toBeLessThan(60);
  });
});

describe('the key of an address', () => {
  it.each([
    ['Ada@Example.ORG', 'ada@example.org'],
    [' ada@example.org ', 'ada@example.org'],
    ['ａｄａ＠example.org', 'ada@example.org'],
    ['user@bücher.example', 'user@xn--bcher-kva.example'],
    ['user@BÜCHER.example', 'user@xn--bcher-kva.example'],
    ['user@XN--BCHER-KVA.example', 'user@xn--bcher-kva.example'],
    ['user@bu\u0308cher.example', 'user@xn--bcher-kva.example'],
    ['user@faß.example', 'user@xn--fa-hia.example'],
    ['user@bücher。example', 'user@xn--bcher-kva.example'],
    ['a.b+c@example.org', 'a.b+c@example.org'],
    ['user@1.2', 'user@1.2'],
    ['user@ü/example.org', 'user@ü/example.org'],
    ['bob@', 'bob@'],
    ['bob', 'bob'],
  ])('of %j is %j', (address, key) => {
    expect(emailKey(address)).toBe(key);
    expect(emailKey(key)).toBe(key);
  });
});

describe('a readable name', () => {
  it.each([
    'Ada',
    'Ada Lovelace',
    "O'Brien-Smith, Jr. (Bob) #1",
    'José',
    'Nguyễn Thị Hằng',
    'Nguyễn Thị Hằng'.normalize('NFD'),
    'محمد',
    'דָּוִד',
    'שָׁלוֹם',
    'می‌خواهم',
    'क्‍ष',
    'श्‌री',
    'ශ්‍රී ලංකා',
    'র‍্যাব',
    '葛󠄀城',
    'ᠮᠣᠩᠭᠣᠯ᠋',
    '👩‍👩‍👧',
    '👩🏽‍🚀 crew',
    '❤️',
    '1️⃣',
    '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
    '🇵🇹',
    '---',
    'ภาษาไทย',
    'བོད་སྐད་',
    'ひらがな',
    'a\u00a0b',
  ])('may be %j', (name) => expect(faultOfName(name)).toBeUndefined());

  it.each([
    ['\u200b', 'invisible'],
    ['Ada\u200b', 'invisible'],
    ['Ada\u200d', 'invisible'],
    ['A\u200cda', 'invisible'],
    ['\u202eada', 'invisible'],
    ['ada\u200f', 'invisible'],
    ['\u2066ada\u2069', 'invisible'],
    ['a\u00adda', 'invisible'],
    ['a\u2060b', 'invisible'],
    ['a\ufeffb', 'invisible'],
    ['a\u034fb', 'invisible'],
    ['a\u2028b', 'invisible'],
    ['\u3164', 'invisible'],
    ['\uffa0', 'invisible'],
    ['\u115f', 'invisible'],
    ['ada\ufe0f', 'invisible'],
    ['ada\u{e0061}\u{e007f}', 'invisible'],
    ['\ufff9ada\ufffb', 'invisible'],
    ['a\0', 'invisible'],
    ['\u2800', 'visible'],
    ['\u{1d159}', 'visible'],
    ['\u00a0\u3000', 'visible'],
    ['\u0301', 'visible'],
    ['\u0301a', 'begin'],
    ['\ue000', 'private'],
    ['a\uffff', 'private'],
    ['\u{10ffff}', 'private'],
    [`Z${'\u0301\u0302\u0303\u0304\u0305'}`, 'stack'],
    ['Z\u0301\u0301', 'stack'],
  ])('is not %j', (name, fault) => expect(faultOfName(name)).toContain(fault));
});
