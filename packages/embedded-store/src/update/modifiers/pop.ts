import { typeName } from '../../bson/compare';
import { StoreError } from '../../errors';
import { describe } from '../describe';
import { toInteger } from '../integer';
import type { Modifier } from './modifier';

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/pop/ */
export const pop: Modifier = (path, argument) => {
  const end = toInteger(argument);
  if (end === undefined) {
    throw new StoreError('FailedToParse', `Expected an integer: ${path}: ${describe(argument)}`);
  }
  if (end !== 1 && end !== -1) throw new StoreError('FailedToParse', `$pop expects 1 or -1, found: ${end}`);
  return {
    update(value, context) {
      if (!Array.isArray(value)) {
        throw new StoreError(
          'TypeMismatch',
          `Path '${context.path}' contains an element of non-array type '${typeName(value)}'`,
        );
      }
      if (value.length === 0) return value;
      return end === 1 ? value.slice(0, -1) : value.slice(1);
    },
  };
};
