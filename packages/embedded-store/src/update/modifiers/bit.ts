import { Int32, Long, Timestamp } from 'bson';
import { typeName } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { describe, describeId } from '../describe';
import { identical } from '../identical';
import type { Modifier } from './modifier';

type Integer = Int32 | Long;

const OPERATIONS: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

function isInteger(value: Value): value is Integer {
  return value instanceof Int32 || (value instanceof Long && !(value instanceof Timestamp));
}

function toBigInt(value: Integer): bigint {
  return value instanceof Int32 ? BigInt(value.value) : value.toBigInt();
}

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/bit/ */
export const bit: Modifier = (path, argument) => {
  const steps = parseOperations(path, argument);
  const apply = (start: Integer): Integer => {
    let value: Integer = start;
    for (const [operation, operand] of steps) {
      const result = operation(toBigInt(value), toBigInt(operand));
      value =
        value instanceof Int32 && operand instanceof Int32
          ? new Int32(Number(result))
          : Long.fromBigInt(result);
    }
    return value;
  };
  return {
    update(value, context) {
      if (!isInteger(value)) {
        const field = context.path.split('.').at(-1);
        throw new StoreError(
          'BadValue',
          `Cannot apply $bit to a value of non-integral type.${describeId(context.document)} ` +
            `has the field ${field} of non-integer type ${typeName(value)}`,
        );
      }
      const result = apply(value);
      return identical(result, value) ? value : result;
    },
    create: () => apply(new Int32(0)),
  };
};

function parseOperations(
  path: string,
  argument: Value,
): [operation: (a: bigint, b: bigint) => bigint, operand: Integer][] {
  if (!(argument instanceof Map)) {
    throw new StoreError(
      'BadValue',
      `The $bit modifier is not compatible with a ${typeName(argument)}. You must pass in an embedded document: ` +
        '{$bit: {field: {and/or/xor: #}}',
    );
  }
  if (argument.size === 0) {
    throw new StoreError(
      'BadValue',
      `You must pass in at least one bitwise operation. The format is: {$bit: {field: {and/or/xor: #}}`,
    );
  }
  return [...argument].map(([name, operand]) => {
    const operation = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
    if (!operation) {
      throw new StoreError(
        'BadValue',
        `The $bit modifier only supports 'and', 'or', and 'xor', not '${name}' which is an unknown operator: ` +
          `{${path}: ${describe(argument)}}`,
      );
    }
    if (!isInteger(operand)) {
      throw new StoreError(
        'BadValue',
        `The $bit modifier field must be an Integer(32/64 bit); a '${typeName(operand)}' is not supported here: ` +
          `{${path}: ${describe(argument)}}`,
      );
    }
    return [operation, operand];
  });
}
