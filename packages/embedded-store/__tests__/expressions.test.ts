import { Decimal128, Double, EJSON, Int32, Long } from 'bson';
import { compileExpression } from '../src/aggregate/expression';
import { fromPlain, toPlain } from '../src/bson/codec';
import type { Document, Value } from '../src/bson/types';

const D = (text: string): Date => new Date(text);
const document = fromPlain({
  a: 1,
  b: 2.5,
  s: 'Hello wörld',
  n: null,
  d: D('2026-03-29T12:34:56.789Z'),
  arr: [3, 1, 2],
  docs: [{ x: 1, y: 'a' }, { x: 3, y: 'b' }, { x: 2 }],
  o: { p: { q: 5 } },
  l: Long.fromString('9007199254740993'),
  dec: Decimal128.fromString('1.10'),
  neg: -7,
}) as Document;

const evaluate = (expression: unknown): Value | undefined =>
  compileExpression(fromPlain(expression))(document);

/** A value with its types, as canonical extended JSON. */
const shown = (value: Value | undefined): string =>
  value === undefined ? 'MISSING' : EJSON.stringify(toPlain(value), { relaxed: false });

const VALUES: [expression: unknown, value: string][] = [
  [{ $add: ['$a', '$b'] }, '{"$numberDouble":"3.5"}'],
  [{ $add: [0.1, 0.2] }, '{"$numberDouble":"0.30000000000000004"}'],
  [{ $add: [new Int32(2147483647), 1] }, '{"$numberLong":"2147483648"}'],
  [{ $add: [Long.MAX_VALUE, 1] }, '{"$numberDouble":"9223372036854775808.0"}'],
  [{ $add: ['$d', 1.5] }, '{"$date":{"$numberLong":"1774787696791"}}'],
  [{ $add: ['$dec', 1] }, '{"$numberDecimal":"2.10"}'],
  [{ $add: ['$a', '$zz'] }, 'null'],
  [{ $subtract: ['$d', D('2026-01-01')] }, '{"$numberLong":"7562096789"}'],
  [{ $multiply: ['$l', 2] }, '{"$numberLong":"18014398509481986"}'],
  [{ $multiply: [Long.MAX_VALUE, 2] }, '{"$numberDouble":"18446744073709551616.0"}'],
  [{ $multiply: [] }, '{"$numberInt":"1"}'],
  [{ $divide: [7, 2] }, '{"$numberDouble":"3.5"}'],
  [{ $mod: [7, new Double(3)] }, '{"$numberInt":"1"}'],
  [{ $mod: [new Double(7.5), 2] }, '{"$numberDouble":"1.5"}'],
  [{ $mod: ['$neg', 3] }, '{"$numberInt":"-1"}'],
  [{ $round: [2.5] }, '{"$numberDouble":"2.0"}'],
  [{ $round: [3.5, 0] }, '{"$numberDouble":"4.0"}'],
  [{ $round: [1234.5678, 2] }, '{"$numberDouble":"1234.57"}'],
  [{ $round: [1234, -2] }, '{"$numberInt":"1200"}'],
  [{ $round: [2.675, 2] }, '{"$numberDouble":"2.67"}'],
  [{ $trunc: [-1.7] }, '{"$numberDouble":"-1.0"}'],
  [{ $floor: -1.5 }, '{"$numberDouble":"-2.0"}'],
  [{ $ceil: 1.2 }, '{"$numberDouble":"2.0"}'],
  [{ $round: ['$dec', 1] }, '{"$numberDecimal":"1.1"}'],
  [{ $abs: '$neg' }, '{"$numberInt":"7"}'],
  [{ $sqrt: 16 }, '{"$numberDouble":"4.0"}'],
  [{ $pow: [2, 10] }, '{"$numberInt":"1024"}'],
  [{ $pow: [2, 63] }, '{"$numberDouble":"9223372036854775808.0"}'],
  [{ $pow: [2, -1] }, '{"$numberDouble":"0.5"}'],
  [{ $log: [8, 2] }, '{"$numberDouble":"3.0"}'],
  [{ $exp: 0 }, '{"$numberDouble":"1.0"}'],
  [{ $toString: 1.0 }, '"1"'],
  [{ $toString: 0.1 }, '"0.1"'],
  [{ $toString: 1e21 }, '"1e+21"'],
  [{ $toString: '$d' }, '"2026-03-29T12:34:56.789Z"'],
  [{ $toInt: '12' }, '{"$numberInt":"12"}'],
  [{ $toInt: 12.9 }, '{"$numberInt":"12"}'],
  [{ $toLong: '$d' }, '{"$numberLong":"1774787696789"}'],
  [{ $toDate: '2026-01-02' }, '{"$date":{"$numberLong":"1767312000000"}}'],
  [{ $toDate: '2026-01-02T03:04:05+02:00' }, '{"$date":{"$numberLong":"1767315845000"}}'],
  [{ $toDate: Long.fromNumber(5) }, '{"$date":{"$numberLong":"5"}}'],
  [{ $toDouble: '1e3' }, '{"$numberDouble":"1000.0"}'],
  [{ $toBool: 0 }, 'false'],
  [{ $toBool: 'false' }, 'true'],
  [{ $toDecimal: 0.1 }, '{"$numberDecimal":"0.100000000000000"}'],
  [{ $convert: { input: 'x', to: 'int', onError: 'bad' } }, '"bad"'],
  [{ $convert: { input: null, to: 'int', onNull: 'nul' } }, '"nul"'],
  [{ $convert: { input: '1', to: 16 } }, '{"$numberInt":"1"}'],
  [{ $type: '$zz' }, '"missing"'],
  [{ $type: '$l' }, '"long"'],
  [{ $isNumber: '$s' }, 'false'],
  [{ $concat: ['a', '$s'] }, '"aHello wörld"'],
  [{ $concat: ['a', '$n'] }, 'null'],
  [{ $toUpper: 'wörld' }, '"WöRLD"'],
  [{ $strLenCP: '$s' }, '{"$numberInt":"11"}'],
  [{ $strLenBytes: '$s' }, '{"$numberInt":"12"}'],
  [{ $substrCP: ['$s', 6, 3] }, '"wör"'],
  [{ $substrBytes: ['$s', 0, 3] }, '"Hel"'],
  [{ $substr: ['$a', 0, -1] }, '"1"'],
  [{ $split: ['a,b,c', ','] }, '["a","b","c"]'],
  [{ $indexOfCP: ['$s', 'r'] }, '{"$numberInt":"8"}'],
  [{ $indexOfBytes: ['$s', 'r'] }, '{"$numberInt":"9"}'],
  [{ $trim: { input: '  x ' } }, '"x"'],
  [{ $ltrim: { input: 'xxay', chars: 'x' } }, '"ay"'],
  [{ $replaceAll: { input: 'aXbX', find: 'X', replacement: '-' } }, '"a-b-"'],
  [{ $regexMatch: { input: '$s', regex: 'W', options: 'i' } }, 'true'],
  [
    { $regexFind: { input: '$s', regex: 'w(ö)(z)?' } },
    '{"match":"wö","idx":{"$numberInt":"6"},"captures":["ö",null]}',
  ],
  [
    { $regexFindAll: { input: 'aXbX', regex: 'X' } },
    '[{"match":"X","idx":{"$numberInt":"1"},"captures":[]},{"match":"X","idx":{"$numberInt":"3"},"captures":[]}]',
  ],
  [{ $strcasecmp: ['a', 'B'] }, '{"$numberInt":"-1"}'],
  [{ $slice: ['$arr', -2] }, '[{"$numberInt":"1"},{"$numberInt":"2"}]'],
  [{ $slice: ['$arr', 1, 1] }, '[{"$numberInt":"1"}]'],
  [{ $arrayElemAt: ['$arr', -1] }, '{"$numberInt":"2"}'],
  [{ $arrayElemAt: ['$arr', 9] }, 'MISSING'],
  [{ $first: '$arr' }, '{"$numberInt":"3"}'],
  [{ $last: '$arr' }, '{"$numberInt":"2"}'],
  [{ $range: [0, 5, 2] }, '[{"$numberInt":"0"},{"$numberInt":"2"},{"$numberInt":"4"}]'],
  [{ $reverseArray: '$arr' }, '[{"$numberInt":"2"},{"$numberInt":"1"},{"$numberInt":"3"}]'],
  [{ $in: [2, '$arr'] }, 'true'],
  [{ $indexOfArray: ['$arr', 2] }, '{"$numberInt":"2"}'],
  [
    { $concatArrays: ['$arr', [9]] },
    '[{"$numberInt":"3"},{"$numberInt":"1"},{"$numberInt":"2"},{"$numberInt":"9"}]',
  ],
  [{ $zip: { inputs: ['$arr', ['a']] } }, '[[{"$numberInt":"3"},"a"]]'],
  [
    { $zip: { inputs: ['$arr', ['a']], useLongestLength: true, defaults: [0, 'z'] } },
    '[[{"$numberInt":"3"},"a"],[{"$numberInt":"1"},"z"],[{"$numberInt":"2"},"z"]]',
  ],
  [
    { $sortArray: { input: '$arr', sortBy: 1 } },
    '[{"$numberInt":"1"},{"$numberInt":"2"},{"$numberInt":"3"}]',
  ],
  [
    { $sortArray: { input: '$docs', sortBy: { x: -1 } } },
    '[{"x":{"$numberInt":"3"},"y":"b"},{"x":{"$numberInt":"2"}},{"x":{"$numberInt":"1"},"y":"a"}]',
  ],
  [{ $maxN: { input: '$arr', n: 2 } }, '[{"$numberInt":"3"},{"$numberInt":"2"}]'],
  [{ $firstN: { input: '$arr', n: 2 } }, '[{"$numberInt":"3"},{"$numberInt":"1"}]'],
  ['$docs.x', '[{"$numberInt":"1"},{"$numberInt":"3"},{"$numberInt":"2"}]'],
  ['$docs.y', '["a","b"]'],
  ['$o.p.q', '{"$numberInt":"5"}'],
  ['$arr.0', '[]'],
  ['$docs.zz', '[]'],
  [
    { $setUnion: ['$arr', [5, 1]] },
    '[{"$numberInt":"1"},{"$numberInt":"2"},{"$numberInt":"3"},{"$numberInt":"5"}]',
  ],
  [{ $setIntersection: ['$arr', [1, 2, 9]] }, '[{"$numberInt":"1"},{"$numberInt":"2"}]'],
  [{ $setDifference: ['$arr', [1]] }, '[{"$numberInt":"3"},{"$numberInt":"2"}]'],
  [
    {
      $setEquals: [
        [1, 2],
        [2, 1, 1],
      ],
    },
    'true',
  ],
  [{ $setIsSubset: [[1], '$arr'] }, 'true'],
  [{ $allElementsTrue: [[1, 0]] }, 'false'],
  [{ $anyElementTrue: [[1, 0]] }, 'true'],
  [{ $objectToArray: '$o' }, '[{"k":"p","v":{"q":{"$numberInt":"5"}}}]'],
  [
    {
      $arrayToObject: [
        [
          ['a', 1],
          ['b', 2],
        ],
      ],
    },
    '{"a":{"$numberInt":"1"},"b":{"$numberInt":"2"}}',
  ],
  [{ $arrayToObject: { $literal: [{ k: 'a', v: 1 }] } }, '{"a":{"$numberInt":"1"}}'],
  [{ $mergeObjects: ['$o', { z: 1 }] }, '{"p":{"q":{"$numberInt":"5"}},"z":{"$numberInt":"1"}}'],
  [{ $getField: 'a' }, '{"$numberInt":"1"}'],
  [{ $getField: { field: 'p', input: '$o' } }, '{"q":{"$numberInt":"5"}}'],
  [
    { $setField: { field: 'a.b', input: '$$ROOT', value: 1 } },
    '{"a":{"$numberInt":"1"},"b":{"$numberDouble":"2.5"},"s":"Hello wörld","n":null,"d":{"$date":{"$numberLong":"1774787696789"}},"arr":[{"$numberInt":"3"},{"$numberInt":"1"},{"$numberInt":"2"}],"docs":[{"x":{"$numberInt":"1"},"y":"a"},{"x":{"$numberInt":"3"},"y":"b"},{"x":{"$numberInt":"2"}}],"o":{"p":{"q":{"$numberInt":"5"}}},"l":{"$numberLong":"9007199254740993"},"dec":{"$numberDecimal":"1.10"},"neg":{"$numberInt":"-7"},"a.b":{"$numberInt":"1"}}',
  ],
  [{ $dateToString: { date: '$d' } }, '"2026-03-29T12:34:56.789Z"'],
  [
    { $dateToString: { date: '$d', format: '%Y-%m-%d %H:%M:%S.%L %j %w %u %U %V %G %z %Z %%' } },
    '"2026-03-29 12:34:56.789 088 1 7 13 13 2026 +0000 +0 %"',
  ],
  [{ $dateToString: { date: '$d', format: '%H:%M %z', timezone: 'Europe/Berlin' } }, '"14:34 +0200"'],
  [{ $dateToString: { date: '$d', format: '%H %z', timezone: '+0530' } }, '"18 +0530"'],
  [{ $dateToString: { date: '$n', onNull: 'none' } }, '"none"'],
  [{ $year: '$d' }, '{"$numberInt":"2026"}'],
  [{ $hour: { date: '$d', timezone: 'America/New_York' } }, '{"$numberInt":"8"}'],
  [{ $dayOfWeek: '$d' }, '{"$numberInt":"1"}'],
  [{ $isoWeek: D('2027-01-01') }, '{"$numberInt":"53"}'],
  [{ $isoWeekYear: D('2027-01-01') }, '{"$numberLong":"2026"}'],
  [{ $week: D('2026-01-04') }, '{"$numberInt":"1"}'],
  [{ $dayOfYear: '$d' }, '{"$numberInt":"88"}'],
  [{ $year: null }, 'null'],
  [{ $dateFromParts: { year: 2026, month: 14, day: 1 } }, '{"$date":{"$numberLong":"1801440000000"}}'],
  [
    { $dateFromParts: { isoWeekYear: 2026, isoWeek: 1, isoDayOfWeek: 1 } },
    '{"$date":{"$numberLong":"1766966400000"}}',
  ],
  [
    { $dateFromParts: { year: 2026, month: 3, day: 29, hour: 2, minute: 30, timezone: 'Europe/Berlin' } },
    '{"$date":{"$numberLong":"1774747800000"}}',
  ],
  [
    { $dateToParts: { date: '$d', timezone: 'Europe/Berlin' } },
    '{"year":{"$numberInt":"2026"},"month":{"$numberInt":"3"},"day":{"$numberInt":"29"},"hour":{"$numberInt":"14"},"minute":{"$numberInt":"34"},"second":{"$numberInt":"56"},"millisecond":{"$numberInt":"789"}}',
  ],
  [
    { $dateFromString: { dateString: '2017-02-08T12:10:40.787', timezone: 'America/New_York' } },
    '{"$date":{"$numberLong":"1486573840787"}}',
  ],
  [
    { $dateFromString: { dateString: '06-15-2018', format: '%m-%d-%Y' } },
    '{"$date":{"$numberLong":"1529020800000"}}',
  ],
  [{ $dateFromString: { dateString: 'nope', onError: 'e' } }, '"e"'],
  [
    { $dateAdd: { startDate: D('2026-01-31'), unit: 'month', amount: 1 } },
    '{"$date":{"$numberLong":"1772236800000"}}',
  ],
  [
    { $dateDiff: { startDate: D('2026-01-31'), endDate: D('2026-03-01'), unit: 'month' } },
    '{"$numberLong":"2"}',
  ],
  [
    { $dateDiff: { startDate: D('2026-01-03'), endDate: D('2026-01-04'), unit: 'week' } },
    '{"$numberLong":"1"}',
  ],
  [
    { $dateTrunc: { date: '$d', unit: 'week', startOfWeek: 'mon' } },
    '{"$date":{"$numberLong":"1774224000000"}}',
  ],
  [{ $dateTrunc: { date: '$d', unit: 'hour', binSize: 6 } }, '{"$date":{"$numberLong":"1774785600000"}}'],
  [
    { $dateTrunc: { date: '$d', unit: 'day', timezone: 'America/New_York' } },
    '{"$date":{"$numberLong":"1774756800000"}}',
  ],
  [{ $cond: [true, 1, 2] }, '{"$numberInt":"1"}'],
  [{ $ifNull: ['$n', '$zz', 5] }, '{"$numberInt":"5"}'],
  [{ $ifNull: ['$n', '$zz'] }, 'MISSING'],
  [
    { $map: { input: '$arr', in: { $add: ['$$this', 1] } } },
    '[{"$numberInt":"4"},{"$numberInt":"2"},{"$numberInt":"3"}]',
  ],
  [{ $filter: { input: '$arr', as: 'v', cond: { $gt: ['$$v', 1] }, limit: 1 } }, '[{"$numberInt":"3"}]'],
  [
    { $reduce: { input: '$arr', initialValue: 0, in: { $add: ['$$value', '$$this'] } } },
    '{"$numberInt":"6"}',
  ],
  [{ a: '$zz', b: '$a' }, '{"b":{"$numberInt":"1"}}'],
  [['$zz', 1], '[null,{"$numberInt":"1"}]'],
  ['$$ROOT.a', '{"$numberInt":"1"}'],
  [{ $cmp: ['$a', '$l'] }, '{"$numberInt":"-1"}'],
  [{ $gt: ['$s', '$a'] }, 'true'],
  [{ $eq: ['$zz', null] }, 'false'],
  [{ $lt: ['$zz', null] }, 'true'],
  [{ $and: [] }, 'true'],
  [{ $or: [] }, 'false'],
  [{ $not: [0] }, 'true'],
  [{ $sum: '$arr' }, '{"$numberInt":"6"}'],
  [{ $avg: '$arr' }, '{"$numberDouble":"2.0"}'],
  [{ $max: ['$arr', 5] }, '[{"$numberInt":"3"},{"$numberInt":"1"},{"$numberInt":"2"}]'],
  [{ $sum: ['$arr', 5] }, '{"$numberInt":"5"}'],
  [{ $stdDevPop: '$arr' }, '{"$numberDouble":"0.816496580927726"}'],
  [{ $min: '$zz' }, 'null'],
  [{ $bsonSize: { a: 1 } }, '{"$numberInt":"12"}'],
  [{ $bitAnd: [12, 10] }, '{"$numberInt":"8"}'],
  [{ $literal: { $add: 1 } }, '{"$add":{"$numberInt":"1"}}'],
];

const ERRORS: [expression: unknown, code: number][] = [
  [{ $add: ['$a', 'x'] }, 16554],
  [{ $subtract: [1, 'x'] }, 16556],
  [{ $subtract: ['$d', 'x'] }, 16613],
  [{ $divide: ['$dec', 0] }, 16608],
  [{ $mod: [5, 0] }, 16610],
  [{ $abs: 'x' }, 28765],
  [{ $sqrt: -1 }, 28714],
  [{ $pow: [0, -1] }, 28764],
  [{ $ln: 0 }, 28766],
  [{ $toInt: '12.5' }, 241],
  [{ $toDate: 5 }, 241],
  [{ $toDouble: 'x' }, 241],
  [{ $toObjectId: 'x' }, 241],
  [{ $convert: { input: '1', to: 'frob' } }, 2],
  [{ $concat: [1] }, 16702],
  [{ $substrBytes: ['$s', 0, 8] }, 28657],
  [{ $regexMatch: { input: 'x', regex: '(' } }, 51111],
  [{ $slice: ['$arr', 1, 0] }, 28729],
  [{ $range: [0, 5, 0] }, 34449],
  [{ $in: [2, '$a'] }, 40081],
  [{ $size: '$zz' }, 17124],
  [{ $dateToString: { date: '$d', format: '%Q' } }, 18536],
  [{ $dateToString: { date: '$d', timezone: 'Nope/Zone' } }, 40485],
  [{ $dateToString: { date: 'x' } }, 16006],
  [{ $year: 'x' }, 16006],
  [{ $dateFromString: { dateString: 'nope' } }, 241],
  [{ $cond: { if: false, then: 1 } }, 17082],
  [{ $switch: { branches: [] } }, 40068],
  [{ $switch: { branches: [{ case: false, then: 1 }] } }, 40066],
  [{ $let: { vars: { x: 1 }, in: '$$y' } }, 17276],
  [{ $let: { vars: { X: 1 }, in: 1 } }, 16867],
  [{ $map: { input: '$a', in: 1 } }, 16883],
  ['$$NOPE', 17276],
  ['$', 16872],
  ['$a.', 40353],
  ['$$', 16869],
  [{ $add: 1, $b: 2 }, 15983],
  [{ a: 1, $b: 2 }, 16410],
  [{ $cmp: [1] }, 16020],
  [{ $range: [1] }, 28667],
];

describe('aggregation expressions', () => {
  it.each(VALUES.map(([expression, value]) => [JSON.stringify(expression), expression, value] as const))(
    '%s',
    (_name, expression, value) => {
      expect(shown(evaluate(expression))).toBe(value);
    },
  );

  it.each(ERRORS.map(([expression, code]) => [JSON.stringify(expression), expression, code] as const))(
    '%s is refused',
    (_name, expression, code) => {
      expect(() => evaluate(expression)).toThrow(expect.objectContaining({ code }));
    },
  );

  it('finds errors in constants before there is a document', () => {
    expect(() => compileExpression(fromPlain({ $divide: [1, 0] }))).toThrow(
      expect.objectContaining({ code: 16608 }),
    );
    expect(() => compileExpression(fromPlain({ $divide: [1, '$a'] }))).not.toThrow();
  });

  it('keeps variables of nested loops apart', () => {
    const table = {
      $map: {
        input: [1, 2],
        as: 'x',
        in: { $map: { input: [10, 20], as: 'y', in: { $add: ['$$x', '$$y'] } } },
      },
    };
    expect(toPlain(evaluate(table) as Value)).toEqual([
      [new Int32(11), new Int32(21)],
      [new Int32(12), new Int32(22)],
    ]);
  });

  it('adds doubles without losing the small ones', () => {
    const sum = evaluate({ $add: [1e16, 1, -1e16] }) as Double;
    expect(sum.valueOf()).toBe(1);
  });

  it('knows $$NOW, $$REMOVE and command variables', () => {
    const now = D('2026-01-01');
    expect(compileExpression('$$NOW', { now })(document)).toEqual(now);
    expect(compileExpression('$$REMOVE')(document)).toBeUndefined();
    const variables = new Map<string, Value | undefined>([
      ['x', 'given'],
      ['gone', undefined],
    ]);
    expect(compileExpression(['$$x', '$$gone'], { variables })(document)).toEqual(['given', null]);
  });
});
