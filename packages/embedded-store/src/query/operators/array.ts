import { integral } from '../../bson/numbers';
import { isNumber } from '../../bson/numbers';
import type { Document, Value } from '../../bson/types';
import { compileNode, compileValueNode } from '../evaluate';
import { badValue, isOperatorDocument, leaf, type FieldOperator } from './context';

const $size: FieldOperator = (path, argument) => {
  if (!isNumber(argument)) throw badValue('Failed to parse $size. Expected a number in: $size');
  const size = integral(argument);
  if (size === undefined) throw badValue('Failed to parse $size. Expected an integer in: $size');
  if (size < 0n) throw badValue('Failed to parse $size. Expected a non-negative number in: $size');
  const length = Number(size);
  return leaf(path, {
    kind: 'size',
    whole: true,
    test: (value) => Array.isArray(value) && value.length === length,
  });
};

/** Operators that make the argument of $elemMatch a filter over documents, although they start with `$`. */
const FILTER_OPERATORS = new Set(['$and', '$or', '$nor', '$where', '$expr', '$jsonSchema', '$text']);

const $elemMatch: FieldOperator = (path, argument, context) => {
  if (!(argument instanceof Map)) throw badValue('$elemMatch needs an Object');
  const first = argument.keys().next().value;
  if (isOperatorDocument(argument) && !FILTER_OPERATORS.has(first as string)) {
    const child = context.operators('', argument);
    return elementLeaf(path, 'elemMatchValue', child, compileValueNode(child));
  }
  const child = context.filter(argument);
  const test = compileNode(child);
  return elementLeaf(path, 'elemMatchObject', child, (value) => {
    const document = asDocument(value);
    return document !== undefined && test(document);
  });
};

function elementLeaf(
  path: string,
  kind: 'elemMatchObject' | 'elemMatchValue',
  child: ReturnType<typeof leaf>,
  fits: (value: Value) => boolean,
): ReturnType<typeof leaf> {
  return leaf(path, {
    kind,
    child,
    whole: true,
    test: (value) => Array.isArray(value) && value.some(fits),
    position: (array) => {
      const index = array.findIndex(fits);
      return index < 0 ? undefined : index;
    },
  });
}

/** An array inside the array counts as a document whose fields are its positions. */
function asDocument(value: Value): Document | undefined {
  if (value instanceof Map) return value;
  return Array.isArray(value) ? new Map(value.map((item, i) => [String(i), item])) : undefined;
}

export const ARRAY_OPERATORS: Readonly<Record<string, FieldOperator>> = { $size, $elemMatch };
