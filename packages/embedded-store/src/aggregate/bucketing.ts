import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { typeOf } from './arguments';
import { type GroupFields } from './grouping';
import { compileGroupField } from './group-accumulators';
import type { PipelineContext } from './stage';

/** The output fields of $bucket or $bucketAuto: those of the specification, or a count. */
export function bucketFields(
  output: Value | undefined,
  context: PipelineContext,
  code: number,
  name: string,
): GroupFields {
  const count: Document = new Map([['count', new Map([['$sum', new Int32(1)]])]]);
  const fields = output ?? count;
  if (!(fields instanceof Map)) {
    throw new StoreError(
      code,
      `The ${name} 'output' field must be an object, but found type: ${typeOf(fields)}.`,
    );
  }
  return [...fields].map(([field, value]) => [field, compileGroupField(field, value, context)] as const);
}

/** Checks the `groupBy` of $bucket or $bucketAuto: a field path or an expression. */
export function checkGroupBy(groupBy: Value | undefined, code: number, name: string): Value {
  const operator = groupBy instanceof Map && [...groupBy.keys()][0]?.startsWith('$') === true;
  if (operator || (typeof groupBy === 'string' && groupBy.length > 1 && groupBy.startsWith('$')))
    return groupBy;
  throw new StoreError(
    code,
    `The ${name} 'groupBy' field must be defined as a $-prefixed path or an expression, but found: ${typeOf(groupBy)}.`,
  );
}
