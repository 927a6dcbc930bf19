import { StoreError } from '../../errors';
import type { Document, Value } from '../../bson/types';
import {
  type Context,
  type Node,
  type OperatorTable,
  argumentList,
  constantNode,
  foldedNode,
  isDocument,
  isNullish,
  lazyNode,
} from '../scope';
import { truthy } from '../truth';
import { checkUserVariable } from '../variables';

/** $cond, $ifNull, $switch, $let, $literal. */
export const CONDITIONAL: OperatorTable = {
  $cond: compileCond,
  $ifNull: compileIfNull,
  $switch: compileSwitch,
  $let: compileLet,
  $literal: (argument) => constantNode(argument),
  $const: (argument) => constantNode(argument),
};

function compileCond(argument: Value, context: Context, name: string): Node {
  let parts: Value[];
  if (isDocument(argument)) {
    for (const key of argument.keys()) {
      if (!['if', 'then', 'else'].includes(key)) {
        throw new StoreError(17083, `Unrecognized parameter to $cond: ${key}`);
      }
    }
    parts = [
      ['if', 17080],
      ['then', 17081],
      ['else', 17082],
    ].map(([key, code]) => {
      const part = argument.get(key as string);
      if (part === undefined) {
        throw new StoreError(code as number, `Missing '${key}' parameter to $cond`);
      }
      return part;
    });
  } else {
    parts = argumentList(argument);
    if (parts.length !== 3) {
      throw new StoreError(
        16020,
        `Expression ${name} takes exactly 3 arguments. ${parts.length} were passed in.`,
      );
    }
  }
  const [test, yes, no] = parts.map((part) => context.compile(part)) as [Node, Node, Node];
  return foldedNode([test, yes, no], (scope) =>
    truthy(test.evaluate(scope)) ? yes.evaluate(scope) : no.evaluate(scope),
  );
}

function compileIfNull(argument: Value, context: Context): Node {
  const children = argumentList(argument).map((item) => context.compile(item));
  if (children.length < 2) {
    throw new StoreError(
      16020,
      `Expression $ifNull takes at least 2 arguments. ${children.length} were passed in.`,
    );
  }
  return foldedNode(children, (scope) => {
    let value: Value | undefined;
    for (const child of children) {
      value = child.evaluate(scope);
      if (!isNullish(value)) return value;
    }
    return value;
  });
}

function compileSwitch(argument: Value, context: Context): Node {
  if (!isDocument(argument)) {
    throw new StoreError(40060, '$switch requires an object as an argument');
  }
  for (const key of argument.keys()) {
    if (key !== 'branches' && key !== 'default') {
      throw new StoreError(40067, `$switch found an unknown argument: ${key}`);
    }
  }
  const list = argument.get('branches');
  if (list !== undefined && !Array.isArray(list)) {
    throw new StoreError(40061, "$switch expected an array for 'branches'");
  }
  const branches = (list ?? []).map((branch) => compileBranch(branch, context));
  if (branches.length === 0) throw new StoreError(40068, '$switch requires at least one branch.');
  const otherwise = argument.get('default');
  const fallback = otherwise === undefined ? undefined : context.compile(otherwise);
  return lazyNode((scope) => {
    for (const { test, result } of branches) {
      if (truthy(test.evaluate(scope))) return result.evaluate(scope);
    }
    if (fallback !== undefined) return fallback.evaluate(scope);
    throw new StoreError(
      40066,
      '$switch could not find a matching branch for an input, and no default was specified.',
    );
  });
}

function compileBranch(branch: Value, context: Context): { test: Node; result: Node } {
  if (!isDocument(branch)) throw new StoreError(40062, '$switch expected each branch to be an object');
  for (const key of branch.keys()) {
    if (key !== 'case' && key !== 'then') {
      throw new StoreError(40063, `$switch found an unknown argument to a branch: ${key}`);
    }
  }
  const test = branch.get('case');
  const result = branch.get('then');
  if (test === undefined) {
    throw new StoreError(40064, "$switch requires each branch have a 'case' expression");
  }
  if (result === undefined) {
    throw new StoreError(40065, "$switch requires each branch have a 'then' expression.");
  }
  return { test: context.compile(test), result: context.compile(result) };
}

function compileLet(argument: Value, context: Context): Node {
  if (!isDocument(argument)) throw new StoreError(16874, '$let only supports an object as its argument');
  for (const key of argument.keys()) {
    if (key !== 'vars' && key !== 'in') {
      throw new StoreError(16875, `Unrecognized parameter to $let: ${key}`);
    }
  }
  const vars = argument.get('vars');
  const body = argument.get('in');
  if (vars === undefined) throw new StoreError(16876, "Missing 'vars' parameter to $let");
  if (body === undefined) throw new StoreError(16877, "Missing 'in' parameter to $let");
  if (!isDocument(vars)) {
    throw new StoreError('FailedToParse', 'invalid parameter: expected an object (vars)');
  }
  const { nodes, bound } = compileBindings(vars, context);
  const inner = bound.context.compile(body);
  return lazyNode((scope) => {
    const values = nodes.map((node) => node.evaluate(scope));
    values.forEach((value, i) => {
      scope.slots[bound.slots[i] as number] = value;
    });
    return inner.evaluate(scope);
  });
}

function compileBindings(
  vars: Document,
  context: Context,
): { nodes: Node[]; bound: { context: Context; slots: number[] } } {
  const names = [...vars.keys()];
  names.forEach(checkUserVariable);
  const nodes = [...vars.values()].map((value) => context.compile(value));
  return { nodes, bound: context.bind(names) };
}
