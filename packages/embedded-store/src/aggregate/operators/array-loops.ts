import { compareValues } from '../../bson/compare';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { int32, typeOf } from '../arguments';
import {
  type Context,
  type Node,
  type OperatorTable,
  foldedNode,
  isDocument,
  isNullish,
  lazyNode,
  named,
  namedValues,
} from '../scope';
import { sortArray } from '../sort-array';
import { truthy } from '../truth';
import { checkUserVariable } from '../variables';

const N_SHAPE = {
  required: ['input', 'n'],
  codes: { object: 5787801, unknown: 5787901, missing: 5787906 },
} as const;

/** Operators that evaluate an expression for each element, and $sortArray and $zip. */
export const ARRAY_LOOPS: OperatorTable = {
  $filter: compileFilterArray,
  $map: compileMap,
  $reduce: compileReduce,
  $sortArray: (argument, context, name) => {
    const given = namedValues(argument, name, {
      required: ['input', 'sortBy'],
      codes: { object: 2942500, unknown: 2942501, missing: 2942502 },
    });
    const input = context.compile(given.get('input') as Value);
    const sort = sortArray(given.get('sortBy') as Value, context.collator);
    return foldedNode([input], (scope) => {
      const list = input.evaluate(scope);
      if (isNullish(list)) return null;
      if (!Array.isArray(list)) {
        throw new StoreError(
          2942504,
          `The input argument to $sortArray must be an array, but was of type: ${typeOf(list)}`,
        );
      }
      return sort(list);
    });
  },
  $zip: compileZip,
  $maxN: extremeN('$maxN', -1),
  $minN: extremeN('$minN', 1),
  $firstN: endN('$firstN', (list, n) => list.slice(0, n)),
  $lastN: endN('$lastN', (list, n) => list.slice(-n)),
};

function loopName(given: Map<string, Value>, code: number): string {
  const as = given.get('as');
  if (as === undefined) return 'this';
  if (typeof as !== 'string') throw new StoreError(code, "'as' must be a string");
  checkUserVariable(as);
  return as;
}

function listOf(
  node: Node,
  scope: Parameters<Node['evaluate']>[0],
  code: number,
  name: string,
): Value[] | null {
  const list = node.evaluate(scope);
  if (isNullish(list)) return null;
  if (!Array.isArray(list)) {
    throw new StoreError(code, `input to ${name} must be an array not ${typeOf(list)}`);
  }
  return list;
}

function compileFilterArray(argument: Value, context: Context, name: string): Node {
  const given = namedValues(argument, name, {
    required: ['input', 'cond'],
    optional: ['as', 'limit'],
    codes: {
      object: 28646,
      unknown: 28647,
      missing: isDocument(argument) && argument.has('input') ? 28650 : 28648,
    },
  });
  const input = context.compile(given.get('input') as Value);
  const bound = context.bind([loopName(given, 28649)]);
  const slot = bound.slots[0] as number;
  const cond = bound.context.compile(given.get('cond') as Value);
  const limitArgument = given.get('limit');
  const limit = limitArgument === undefined ? undefined : context.compile(limitArgument);
  return lazyNode((scope) => {
    const list = listOf(input, scope, 28651, name);
    if (list === null) return null;
    const most = limit?.evaluate(scope);
    const count = isNullish(most) ? list.length : int32(most, 327391, '$filter: limit');
    if (count < 1 && !isNullish(most)) {
      throw new StoreError(327392, `$filter: limit must be greater than 0, found ${count}`);
    }
    const kept: Value[] = [];
    for (const item of list) {
      if (kept.length >= count) break;
      scope.slots[slot] = item;
      if (truthy(cond.evaluate(scope))) kept.push(item);
    }
    return kept;
  });
}

function compileMap(argument: Value, context: Context, name: string): Node {
  const given = namedValues(argument, name, {
    required: ['input', 'in'],
    optional: ['as'],
    codes: {
      object: 16878,
      unknown: 16879,
      missing: isDocument(argument) && argument.has('input') ? 16882 : 16880,
    },
  });
  const input = context.compile(given.get('input') as Value);
  const bound = context.bind([loopName(given, 16881)]);
  const slot = bound.slots[0] as number;
  const body = bound.context.compile(given.get('in') as Value);
  return lazyNode((scope) => {
    const list = listOf(input, scope, 16883, name);
    return (
      list?.map((item) => {
        scope.slots[slot] = item;
        return body.evaluate(scope) ?? null;
      }) ?? null
    );
  });
}

function compileReduce(argument: Value, context: Context, name: string): Node {
  const missing = ['input', 'initialValue', 'in'].findIndex(
    (key) => !(isDocument(argument) && argument.has(key)),
  );
  const given = namedValues(argument, name, {
    required: ['input', 'initialValue', 'in'],
    codes: { object: 40075, unknown: 40076, missing: 40077 + Math.max(0, missing) },
  });
  const input = context.compile(given.get('input') as Value);
  const initial = context.compile(given.get('initialValue') as Value);
  const bound = context.bind(['this', 'value']);
  const [thisSlot, valueSlot] = bound.slots as [number, number];
  const body = bound.context.compile(given.get('in') as Value);
  return lazyNode((scope) => {
    const list = listOf(input, scope, 40080, name);
    if (list === null) return null;
    let value = initial.evaluate(scope);
    for (const item of list) {
      scope.slots[thisSlot] = item;
      scope.slots[valueSlot] = value;
      value = body.evaluate(scope);
    }
    return value;
  });
}

function compileZip(argument: Value, context: Context): Node {
  if (!isDocument(argument)) {
    throw new StoreError(34460, `$zip only supports an object as an argument, found ${typeOf(argument)}`);
  }
  const inputs = argument.get('inputs');
  const defaults = argument.get('defaults');
  const longest = argument.get('useLongestLength') ?? false;
  for (const key of argument.keys()) {
    if (!['inputs', 'defaults', 'useLongestLength'].includes(key)) {
      throw new StoreError(34464, `$zip found an unknown argument: ${key}`);
    }
  }
  if (inputs !== undefined && !Array.isArray(inputs)) {
    throw new StoreError(34461, `inputs must be an array of expressions, found ${typeOf(inputs)}`);
  }
  if (defaults !== undefined && !Array.isArray(defaults)) {
    throw new StoreError(34462, `defaults must be an array of expressions, found ${typeOf(defaults)}`);
  }
  if (typeof longest !== 'boolean') {
    throw new StoreError(34463, `useLongestLength must be a bool, found ${typeOf(longest)}`);
  }
  if (inputs === undefined || inputs.length === 0) {
    throw new StoreError(34465, '$zip requires at least one input array');
  }
  if (defaults !== undefined && !longest) {
    throw new StoreError(34466, 'cannot specify defaults unless useLongestLength is true');
  }
  if (defaults !== undefined && defaults.length !== inputs.length) {
    throw new StoreError(34467, 'defaults and inputs must have the same length');
  }
  const inputNodes = inputs.map((item) => context.compile(item));
  const defaultNodes = (defaults ?? []).map((item) => context.compile(item));
  return lazyNode((scope) => {
    const lists: Value[][] = [];
    for (const node of inputNodes) {
      const list = node.evaluate(scope);
      if (isNullish(list)) return null;
      if (!Array.isArray(list)) {
        throw new StoreError(34468, `$zip found a non-array expression in input: ${typeOf(list)}`);
      }
      lists.push(list);
    }
    const fill = inputNodes.map((_, i) => defaultNodes[i]?.evaluate(scope) ?? null);
    const lengths = lists.map((list) => list.length);
    const length = longest ? Math.max(...lengths) : Math.min(...lengths);
    return Array.from({ length }, (_, row) => lists.map((list, i) => list[row] ?? fill[i] ?? null));
  });
}

/** The count of $firstN and similar operators: a positive integer. */
function countOf(n: Value | undefined, name: string): number {
  const count = int32(n, 5787903, `'n' for ${name}`);
  if (count <= 0) throw new StoreError(5787908, `'n' must be greater than 0, found ${count} for ${name}`);
  return count;
}

function nList(list: Value | undefined): Value[] {
  if (Array.isArray(list)) return list;
  throw new StoreError(5788200, `Input must be an array, found ${typeOf(list)}`);
}

function endN(name: string, take: (list: Value[], n: number) => Value[]): OperatorTable[string] {
  return named(N_SHAPE, ({ input, n }) => take(nList(input), countOf(n, name)));
}

function extremeN(name: string, sign: number): OperatorTable[string] {
  return named(N_SHAPE, ({ input, n }, _given, { collator }) =>
    nList(input)
      .filter((value) => !isNullish(value))
      .sort((a, b) => sign * compareValues(a, b, collator))
      .slice(0, countOf(n, name)),
  );
}
