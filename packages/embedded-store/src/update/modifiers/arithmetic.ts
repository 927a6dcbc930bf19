import { Int32 } from 'bson';
import { typeName } from '../../bson/compare';
import { add, isNumber, multiply, type NumberValue } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { describe, describeId } from '../describe';
import { identical } from '../identical';
import type { LeafContext } from '../tree';
import type { Modifier } from './modifier';

interface Operation {
  readonly name: string;
  readonly verb: string;
  readonly combine: (value: NumberValue, argument: NumberValue) => NumberValue;
  readonly missing: (argument: NumberValue) => NumberValue;
}

/** The result type follows MongoDB: int grows to long, a long that overflows is an error. */
function arithmetic(operation: Operation): Modifier {
  return (path, argument) => {
    if (!isNumber(argument)) {
      throw new StoreError(
        'TypeMismatch',
        `Cannot ${operation.verb} with non-numeric argument: {${path}: ${describe(argument)}}`,
      );
    }
    return {
      update(value, context) {
        const result = combine(operation, value, argument, context);
        return identical(result, value) ? value : result;
      },
      create: () => operation.missing(argument),
    };
  };
}

function combine(
  operation: Operation,
  value: Value,
  argument: NumberValue,
  context: LeafContext,
): NumberValue {
  if (!isNumber(value)) {
    const field = context.path.split('.').at(-1);
    throw new StoreError(
      'TypeMismatch',
      `Cannot apply ${operation.name} to a value of non-numeric type. ${describeId(context.document)} ` +
        `has the field '${field}' of non-numeric type ${typeName(value)}`,
    );
  }
  try {
    return operation.combine(value, argument);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new StoreError(
      'BadValue',
      `Failed to apply ${operation.name} operations to current value (${describe(value)}) ` +
        `for document ${describeId(context.document)}`,
    );
  }
}

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/inc/ */
export const inc = arithmetic({
  name: '$inc',
  verb: 'increment',
  combine: add,
  missing: (argument) => argument,
});

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/mul/ */
export const mul = arithmetic({
  name: '$mul',
  verb: 'multiply',
  combine: multiply,
  missing: (argument) => multiply(argument, new Int32(0)),
});
