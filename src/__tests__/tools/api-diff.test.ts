import { diffAsyncApi, diffOpenApi } from '../../../tools/api-diff';
import type { JsonObject } from '../../../tools/schema-diff';

/** An API with one operation that accepts and returns objects of these schemas. */
function openApi(input: object, output: object = {}, more: object = {}): JsonObject {
  const json = (schema: object) => ({ content: { 'application/json': { schema } } });
  return JSON.parse(
    JSON.stringify({
      paths: {
        '/things': {
          post: {
            operationId: 'makeThing',
            security: [{ token: [] }],
            parameters: [{ in: 'query', name: 'dry', schema: { type: 'string', enum: ['true'] } }],
            requestBody: { required: true, ...json({ $ref: '#/components/schemas/Input' }) },
            responses: { 201: { description: 'd', ...json({ $ref: '#/components/schemas/Output' }) } },
            ...more,
          },
        },
      },
      components: { schemas: { Input: input, Output: output } },
    }),
  ) as JsonObject;
}

const object = (properties: object, required: string[] = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const changes = (before: JsonObject, after: JsonObject) =>
  diffOpenApi(before, after).map(({ breaking, at, what }) => `${breaking ? 'BREAKING' : 'ok'} ${at} ${what}`);
const text = { type: 'string' };
const nullable = { anyOf: [text, { type: 'null' }] };

describe('the input of an operation', () => {
  it.each<[string, object, object, string[]]>([
    ['nothing', object({ a: text }), object({ a: text }), []],
    ['a new field', object({}), object({ a: text }, []), ['ok .a was added']],
    ['a new required field', object({}), object({ a: text }), ['BREAKING .a was added and is required']],
    ['a removed field', object({ a: text }), object({}), ['BREAKING .a was removed']],
    ['required', object({ a: text }, []), object({ a: text }), ['BREAKING .a is required']],
    ['optional', object({ a: text }), object({ a: text }, []), ['ok .a may be missing']],
    ['a type', object({ a: text }), object({ a: { type: 'number' } }), ['BREAKING .a is number, not string']],
    ['a removed value', { enum: ['a', 'b'] }, { enum: ['a'] }, ['BREAKING  is no longer "b"']],
    ['an added value', { enum: ['a'] }, { enum: ['a', 'b'] }, ['ok  may also be "b"']],
    ['an enumeration', text, { type: 'string', enum: ['a'] }, ['BREAKING  is one of "a" only']],
    ['no null', nullable, text, ['BREAKING  no longer takes null']],
    ['null', text, nullable, ['ok  also takes null']],
    ['null by type', text, { type: ['string', 'null'] }, ['ok  also takes null']],
    ['shorter', { ...text, maxLength: 9 }, { ...text, maxLength: 8 }, ['BREAKING  maxLength is 8, not 9']],
    ['longer', { ...text, maxLength: 8 }, { ...text, maxLength: 9 }, ['ok  maxLength is 9, not 8']],
    ['a bound', text, { ...text, minLength: 1 }, ['BREAKING  minLength is 1, not without one']],
    ['a pattern', text, { ...text, pattern: 'x' }, ['BREAKING  pattern is "x", not missing']],
    [
      'in a list',
      { type: 'array', items: text },
      { type: 'array', items: { enum: ['a'] } },
      ['BREAKING [] is one of "a" only'],
    ],
    [
      'closed',
      { type: 'object' },
      { type: 'object', additionalProperties: false },
      ['BREAKING  takes no other fields'],
    ],
    [
      'in one of two types',
      { ...object({ a: text }), type: ['object', 'null'] },
      { ...object({}), type: ['object', 'null'] },
      ['BREAKING  (object).a was removed'],
    ],
    [
      'in parts',
      { allOf: [object({ a: text })] },
      { allOf: [object({ a: nullable })] },
      ['ok .a also takes null'],
    ],
  ])('%s', (_, before, after, expected) => {
    expect(changes(openApi(before), openApi(after))).toEqual(
      expected.map((line) => line.replace(/^(\w+) /, '$1 POST /things body')),
    );
  });
});

describe('the output of an operation', () => {
  it.each<[string, object, object, string[]]>([
    ['a new field', object({}), object({ a: text }), ['ok .a was added']],
    ['a removed field', object({ a: text }), object({}), ['BREAKING .a was removed']],
    ['optional', object({ a: text }), object({ a: text }, []), ['BREAKING .a may be missing']],
    ['required', object({ a: text }, []), object({ a: text }), ['ok .a is required']],
    ['an added value', { enum: ['a'] }, { enum: ['a', 'b'] }, ['BREAKING  may also be "b"']],
    ['a removed value', { enum: ['a', 'b'] }, { enum: ['a'] }, ['ok  is no longer "b"']],
    ['null', text, nullable, ['BREAKING  may also be null']],
    ['no null', nullable, text, ['ok  no longer is null']],
    ['anything', text, {}, ['BREAKING  is anything, not string']],
    ['longer', { ...text, maxLength: 8 }, { ...text, maxLength: 9 }, ['ok  maxLength is 9, not 8']],
    [
      'a new kind of object',
      { oneOf: [object({ kind: { const: 'a' } })] },
      { oneOf: [object({ kind: { const: 'a' } }), object({ kind: { const: 'b' } })] },
      ['BREAKING  may also be object kind: "b"'],
    ],
    [
      'a field of one kind of object',
      { oneOf: [object({ kind: { const: 'a' }, x: text }), object({ kind: { const: 'b' } })] },
      { oneOf: [object({ kind: { const: 'b' } }), object({ kind: { const: 'a' } })] },
      ['BREAKING  (object kind: "a").x was removed'],
    ],
  ])('%s', (_, before, after, expected) => {
    expect(changes(openApi({}, before), openApi({}, after))).toEqual(
      expected.map((line) => line.replace(/^(\w+) /, '$1 POST /things 201')),
    );
  });

  it('may be recursive', () => {
    const tree = (leaf: object) => object({ leaf, inner: { $ref: '#/components/schemas/Output' } }, ['leaf']);
    expect(changes(openApi({}, tree(text)), openApi({}, tree(nullable)))).toEqual([
      'BREAKING POST /things 201.leaf may also be null',
    ]);
  });
});

describe('an operation', () => {
  const base = openApi({}, {});
  it.each<[string, object, string[]]>([
    [
      'a changed name',
      { operationId: 'build' },
      ['BREAKING POST /things operationId is build, not makeThing'],
    ],
    ['no token', { security: [] }, ['ok POST /things requires no token']],
    ['a removed parameter', { parameters: [] }, ['BREAKING POST /things query dry was removed']],
    [
      'a parameter is required',
      {
        parameters: [
          { in: 'query', name: 'dry', required: true, schema: { type: 'string', enum: ['true'] } },
        ],
      },
      ['BREAKING POST /things query dry is required'],
    ],
    ['no body', { requestBody: undefined }, ['BREAKING POST /things body is no longer application/json']],
    [
      'a changed status',
      { responses: { 202: { description: 'd' } } },
      ['BREAKING POST /things 201 is no longer answered', 'BREAKING POST /things 202 may be answered'],
    ],
  ])('%s', (_, more, expected) => expect(changes(base, openApi({}, {}, more))).toEqual(expected));

  it('may be added or removed', () => {
    expect(changes(base, { paths: {} })).toEqual(['BREAKING POST /things was removed']);
    expect(changes({ paths: {} }, base)).toEqual(['ok POST /things was added']);
    const closed = openApi({}, {}, { security: [] });
    expect(changes(closed, base)).toEqual(['BREAKING POST /things requires a token']);
  });
});

test('events are compared from the view of their sender', () => {
  const document = (sent: object, received: object, more: object = {}): JsonObject => ({
    channels: {
      socket: {
        messages: {
          ask: { payload: sent },
          'ask.ack': { payload: received },
          told: { payload: received },
          ...more,
        },
      },
    } as JsonObject,
    operations: { ask: { action: 'receive' }, told: { action: 'send' } },
  });
  const wide = { enum: ['a', 'b'] };
  const narrow = { enum: ['a'] };
  const both = (before: JsonObject, after: JsonObject) =>
    diffAsyncApi(before, after).map(({ breaking, at, what }) => [breaking, `${at} ${what}`]);
  expect(both(document(wide, wide), document(narrow, narrow))).toEqual([
    [true, 'ask is no longer "b"'],
    [false, 'ask.ack is no longer "b"'],
    [false, 'told is no longer "b"'],
  ]);
  expect(both(document(narrow, narrow), document(wide, wide))).toEqual([
    [false, 'ask may also be "b"'],
    [true, 'ask.ack may also be "b"'],
    [true, 'told may also be "b"'],
  ]);
  const more = document(wide, wide, { news: { payload: {} } });
  expect(both(document(wide, wide), more)).toEqual([[false, 'news was added']]);
  expect(both(more, document(wide, wide))).toEqual([[true, 'news was removed']]);
});
