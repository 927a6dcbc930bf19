import { truthy } from '../truth';
import { type OperatorTable, argumentList, constantNode, constantValue, fixed } from '../scope';

/** $and, $or, $not: MongoDB's truth values, with short-circuit evaluation. */
export const BOOLEAN: OperatorTable = {
  $and: (argument, context) => shortCircuit(argument, context, false),
  $or: (argument, context) => shortCircuit(argument, context, true),
  $not: fixed(1, ([value]) => !truthy(value)),
};

function shortCircuit(
  argument: Parameters<OperatorTable[string]>[0],
  context: Parameters<OperatorTable[string]>[1],
  decisive: boolean,
): ReturnType<OperatorTable[string]> {
  const children = argumentList(argument).map((item) => context.compile(item));
  if (children.some((child) => child.constant && truthy(constantValue(child)) === decisive)) {
    return constantNode(decisive);
  }
  if (children.every((child) => child.constant)) return constantNode(!decisive);
  return {
    constant: false,
    evaluate(scope) {
      for (const child of children) {
        if (truthy(child.evaluate(scope)) === decisive) return decisive;
      }
      return !decisive;
    },
  };
}
