import { Int32 } from 'bson';
import { compareValues } from '../../bson/compare';
import { type OperatorCompiler, type OperatorTable, fixed } from '../scope';

/** Compares in MongoDB's order of all types; a missing value is lower than null. */
function comparison(test: (order: number) => boolean): OperatorCompiler {
  return fixed(2, ([a, b], { collator }) => test(compareValues(a, b, collator)));
}

/** $cmp, $eq, $ne, $gt, $gte, $lt, $lte. */
export const COMPARISON: OperatorTable = {
  $cmp: fixed(2, ([a, b], { collator }) => new Int32(Math.sign(compareValues(a, b, collator)))),
  $eq: comparison((order) => order === 0),
  $ne: comparison((order) => order !== 0),
  $gt: comparison((order) => order > 0),
  $gte: comparison((order) => order >= 0),
  $lt: comparison((order) => order < 0),
  $lte: comparison((order) => order <= 0),
};
