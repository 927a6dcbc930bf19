import { compareValues } from '../../bson/compare';
import type { Modifier } from './modifier';

function keepExtreme(sign: 1 | -1): Modifier {
  return (_path, argument, { collator }) => ({
    update: (value) => (compareValues(argument, value, collator) * sign > 0 ? argument : value),
    create: () => argument,
  });
}

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/min/ */
export const min = keepExtreme(-1);

/** @see https://www.mongodb.com/docs/manual/reference/operator/update/max/ */
export const max = keepExtreme(1);
