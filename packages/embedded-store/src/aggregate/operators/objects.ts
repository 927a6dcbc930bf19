import type { Document, Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { array, typeOf } from '../arguments';
import {
  type Context,
  type Node,
  type OperatorTable,
  argumentList,
  fixed,
  foldedNode,
  isDocument,
  isNullish,
  namedValues,
  variadic,
} from '../scope';

/** Operators on documents. */
export const OBJECTS: OperatorTable = {
  $mergeObjects: variadic((values) => {
    const merged: Document = new Map();
    for (const value of values) {
      if (isNullish(value)) continue;
      if (!isDocument(value)) {
        throw new StoreError(
          40400,
          `$mergeObjects requires object inputs, but input is of type ${typeOf(value)}`,
        );
      }
      for (const [key, item] of value) merged.set(key, item);
    }
    return merged;
  }),
  $objectToArray: fixed(1, ([value]) => {
    if (isNullish(value)) return null;
    if (!isDocument(value)) {
      throw new StoreError(40390, `$objectToArray requires a document input, found: ${typeOf(value)}`);
    }
    return [...value].map(
      ([k, v]): Document =>
        new Map<string, Value>([
          ['k', k],
          ['v', v],
        ]),
    );
  }),
  $arrayToObject: (argument, context) => {
    // The only argument is often an array literal of pairs, which must not be read as a list of arguments.
    const list = argumentList(argument);
    const only = list.length === 1 ? (list[0] as Value) : argument;
    const node = context.compile(only);
    return foldedNode([node], (scope) => arrayToObject(node.evaluate(scope)));
  },
  $getField: compileGetField,
  $setField: (argument, context, name) => compileSetField(argument, context, name, false),
  $unsetField: (argument, context, name) => compileSetField(argument, context, name, true),
};

function arrayToObject(value: Value | undefined): Value {
  if (isNullish(value)) return null;
  const pairs = array(value, 40386, '$arrayToObject input');
  const made: Document = new Map();
  const put = (key: Value | undefined, item: Value, code: number): void => {
    if (typeof key !== 'string') {
      throw new StoreError(
        code,
        `$arrayToObject requires the key to be of type string, found type: ${typeOf(key)}`,
      );
    }
    if (key.includes('\0')) throw new StoreError(4940400, 'Key field cannot contain an embedded null byte');
    made.set(key, item);
  };
  const ofArrays = Array.isArray(pairs[0]);
  for (const pair of pairs) {
    if (ofArrays) {
      if (!Array.isArray(pair)) {
        throw new StoreError(
          40396,
          `$arrayToObject requires a consistent input format, found ${typeOf(pair)}`,
        );
      }
      if (pair.length !== 2) {
        throw new StoreError(40397, '$arrayToObject requires an array of size 2 arrays');
      }
      put(pair[0], pair[1] ?? null, 40395);
    } else {
      putObject(pair, made.size === 0, put);
    }
  }
  return made;
}

function putObject(
  pair: Value,
  first: boolean,
  put: (key: Value | undefined, item: Value, code: number) => void,
): void {
  if (!isDocument(pair)) {
    throw new StoreError(
      first ? 40398 : 40391,
      `Unrecognised input type format for $arrayToObject: ${typeOf(pair)}`,
    );
  }
  if (pair.size !== 2) {
    throw new StoreError(
      40392,
      `$arrayToObject requires an object keys of 'k' and 'v', found ${pair.size} keys`,
    );
  }
  const value = pair.get('v');
  if (!pair.has('k') || value === undefined) {
    throw new StoreError(40393, "$arrayToObject requires an object with keys 'k' and 'v'");
  }
  put(pair.get('k'), value, 40394);
}

/** The field named by a constant expression; names that begin with `$` are written with $literal. */
function constantName(expression: Value, context: Context, code: number, name: string): string {
  if (typeof expression === 'string' && expression.startsWith('$')) {
    throw new StoreError(
      code === 3041704 ? 5654600 : 4161108,
      `'${expression}' is a field path reference which is not allowed in ${name}`,
    );
  }
  const node = context.compile(expression);
  const value = node.constant ? node.evaluate({ root: undefined, slots: [] }) : undefined;
  if (typeof value !== 'string') {
    throw new StoreError(code, `${name} requires 'field' to evaluate to a constant String`);
  }
  return value;
}

function compileGetField(argument: Value, context: Context, name: string): Node {
  const verbose = isDocument(argument) && ![...argument.keys()].some((key) => key.startsWith('$'));
  const given = verbose
    ? namedValues(argument, name, {
        required: ['field', 'input'],
        codes: { object: 3041701, unknown: 3041701, missing: argument.has('field') ? 3041703 : 3041702 },
      })
    : new Map<string, Value>([
        ['field', argument],
        ['input', '$$CURRENT'],
      ]);
  const field = constantName(given.get('field') as Value, context, 3041704, name);
  const input = context.compile(given.get('input') as Value);
  return foldedNode([input], (scope) => {
    const value = input.evaluate(scope);
    if (isDocument(value)) return value.get(field);
    return value === null ? null : undefined;
  });
}

function compileSetField(argument: Value, context: Context, name: string, unset: boolean): Node {
  const given = namedValues(argument, name, {
    required: unset ? ['field', 'input'] : ['field', 'input', 'value'],
    codes: { object: 4161100, unknown: 4161101, missing: 4161102 },
  });
  const field = constantName(given.get('field') as Value, context, 4161106, name);
  const input = context.compile(given.get('input') as Value);
  const value = context.compile(unset ? '$$REMOVE' : (given.get('value') as Value));
  return foldedNode([input, value], (scope) => {
    const target = input.evaluate(scope);
    if (isNullish(target)) return null;
    if (!isDocument(target)) {
      throw new StoreError(4161105, `${name} requires 'input' to evaluate to type Object`);
    }
    const made = new Map(target);
    const item = value.evaluate(scope);
    if (item === undefined) made.delete(field);
    else made.set(field, item);
    return made;
  });
}
