import type { Value } from '../../bson/types';
import { type Accumulator, ACCUMULATORS } from '../accumulators';
import { type OperatorCompiler, type OperatorTable, argumentList, foldedNode } from '../scope';

/**
 * An accumulator used as an expression: over its arguments, or over the elements when the only argument is
 * an array.
 */
function overArguments(name: string): OperatorCompiler {
  return (argument, context) => {
    const nodes = argumentList(argument).map((item) => context.compile(item));
    const create = ACCUMULATORS[name] as (typeof ACCUMULATORS)[string];
    return foldedNode(nodes, (scope) => {
      const accumulator: Accumulator = create(context.collator);
      const values = nodes.map((node) => node.evaluate(scope));
      const [only] = values;
      const inputs: (Value | undefined)[] = values.length === 1 && Array.isArray(only) ? only : values;
      for (const value of inputs) accumulator.add(value);
      return accumulator.result();
    });
  };
}

/** $sum, $avg, $min, $max and the standard deviations as expressions. */
export const ACCUMULATOR_OPERATORS: OperatorTable = Object.fromEntries(
  ['$avg', '$max', '$min', '$stdDevPop', '$stdDevSamp', '$sum'].map((name) => [name, overArguments(name)]),
);
