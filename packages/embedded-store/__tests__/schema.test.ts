import { Decimal128, Double, Long } from 'bson';
import { fromPlain } from '../src/bson/codec';
import type { Document } from '../src/bson/types';
import { compileFilter } from '../src/query/matcher';

const doc = (plain: unknown) => fromPlain(plain) as Document;
const valid = (schema: unknown, document: unknown) =>
  compileFilter(doc({ $jsonSchema: schema })).matches(doc(document));
const property = (schema: unknown) => ({ properties: { a: schema } });

test.each<[string, unknown, unknown[], unknown[]]>([
  ['type', { type: 'string' }, ['x'], [1, null, ['x']]],
  ['type number', { type: 'number' }, [1, 1.5, Long.fromNumber(1), Decimal128.fromString('1')], ['1', true]],
  ['types', { type: ['array', 'null'] }, [[], null], [{}, 'x']],
  ['bsonType', { bsonType: 'int' }, [1], [1.5, Long.fromNumber(1)]],
  ['bsonTypes', { bsonType: ['objectId', 'date', 'long'] }, [new Date(), Long.fromNumber(1)], [1, 'x']],
  [
    'enum',
    { enum: [1, 'x', { b: 1, c: 2 }, [1]] },
    [new Double(1), 'x', { c: 2, b: 1 }, [1]],
    [2, null, [[1]]],
  ],
  ['minimum', { minimum: 1 }, [1, 1.5, 'x', Decimal128.fromString('1')], [0, NaN]],
  ['maximum', { maximum: 1 }, [1, -5, null], [2, 1.1, NaN]],
  [
    'exclusive bounds',
    { minimum: 1, exclusiveMinimum: true, maximum: 3, exclusiveMaximum: true },
    [2],
    [1, 3],
  ],
  ['multipleOf', { multipleOf: 0.1 }, [0.3, 1, 'x', 0], [0.35]],
  ['lengths in characters', { minLength: 1, maxLength: 2 }, ['a', '😀😀', 5], ['', 'abc']],
  ['pattern', { pattern: '^a.c$' }, ['abc', 1], ['xabc']],
  ['items', { items: { type: 'number' } }, [[1, 2], [], 'x'], [[1, 'x']]],
  [
    'items by place',
    { items: [{ type: 'number' }, { type: 'string' }] },
    [[1, 'x', null], [1], []],
    [['x'], [1, 1]],
  ],
  ['additionalItems', { items: [{}], additionalItems: false }, [[1], []], [[1, 2]]],
  ['additionalItems schema', { items: [{}], additionalItems: { type: 'null' } }, [[1, null]], [[1, 2]]],
  ['additionalItems alone', { additionalItems: false }, [[1]], []],
  ['counts of items', { minItems: 1, maxItems: 2 }, [[1], [1, 2], 'x'], [[], [1, 2, 3]]],
  [
    'uniqueItems',
    { uniqueItems: true },
    [[1, '1', [1]], []],
    [
      [1, new Double(1)],
      [
        { x: 1, y: 2 },
        { y: 2, x: 1 },
      ],
    ],
  ],
  ['required', { required: ['x'] }, [{ x: null }, 5], [{}, { y: 1 }]],
  ['properties', property({ type: 'string' }), [{ a: 'x' }, {}, 7], [{ a: 1 }]],
  [
    'patternProperties',
    { patternProperties: { '^n': { type: 'number' } } },
    [{ n1: 1, x: 'x' }],
    [{ n1: 'x' }],
  ],
  [
    'additionalProperties',
    { properties: { x: {} }, patternProperties: { '^n': {} }, additionalProperties: false },
    [{ x: 1, n: 1 }],
    [{ y: 1 }],
  ],
  ['additionalProperties schema', { additionalProperties: { type: 'number' } }, [{ x: 1 }], [{ x: 'x' }]],
  ['counts of properties', { minProperties: 1, maxProperties: 1 }, [{ x: 1 }], [{}, { x: 1, y: 1 }]],
  [
    'dependencies',
    { dependencies: { x: ['y'], z: { required: ['w'] } } },
    [{ x: 1, y: 1 }, {}, { y: 1 }],
    [{ x: 1 }, { z: 1 }],
  ],
  ['allOf', { allOf: [{ minimum: 1 }, { maximum: 2 }] }, [1, 2], [0, 3]],
  ['anyOf', { anyOf: [{ type: 'string' }, { minimum: 5 }] }, ['x', 6], [4]],
  ['oneOf', { oneOf: [{ minimum: 1 }, { minimum: 5 }] }, [2], [0, 6]],
  ['not', { not: { type: 'string' } }, [1], ['x']],
  ['words that say nothing', { title: 'x', description: 'y' }, [1], []],
])('%s', (_name, schema, good, bad) => {
  for (const value of good) expect(valid(property(schema), { a: value })).toBe(true);
  for (const value of bad) expect(valid(property(schema), { a: value })).toBe(false);
  expect(valid(property(schema), {})).toBe(true);
});

test('the root is an object', () => {
  expect(valid({ bsonType: 'object', required: ['a'] }, { a: 1 })).toBe(true);
  expect(valid({ type: 'array' }, { a: 1 })).toBe(false);
  expect(valid({}, {})).toBe(true);
});

test.each<[number, unknown]>([
  [9, { frob: 1 }],
  [9, { $ref: 'x' }],
  [9, { format: 'email' }],
  [9, { type: 'integer' }],
  [2, { type: 'frob' }],
  [2, { bsonType: 'frob' }],
  [14, { type: 1 }],
  [9, { type: 'string', bsonType: 'string' }],
  [14, { properties: 1 }],
  [14, { properties: { a: 1 } }],
  [14, { required: 'a' }],
  [9, { required: [] }],
  [9, { required: ['a', 'a'] }],
  [14, { required: [1] }],
  [14, { minimum: 'x' }],
  [9, { exclusiveMinimum: true }],
  [14, { minimum: 1, exclusiveMinimum: 1 }],
  [9, { minLength: -1 }],
  [9, { maxItems: 1.5 }],
  [9, { multipleOf: 0 }],
  [14, { pattern: 1 }],
  [9, { enum: [] }],
  [9, { enum: [1, new Double(1)] }],
  [14, { enum: 1 }],
  [2, { allOf: [] }],
  [14, { allOf: {} }],
  [14, { not: 1 }],
  [14, { items: 1 }],
  [14, { uniqueItems: 1 }],
  [14, { additionalProperties: 1 }],
  [14, { dependencies: { a: 1 } }],
  [14, { title: 1 }],
])('refuses with %i: %j', (code, schema) => {
  expect(() => compileFilter(doc({ $jsonSchema: schema }))).toThrow(expect.objectContaining({ code }));
});
