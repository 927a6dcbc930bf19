import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import type { Document, Value } from '../bson/types';

/** The scope of a running expression: the document, and one slot for each variable of its compilation. */
export interface Scope {
  root: Value | undefined;
  slots: (Value | undefined)[];
}

/** Computes a value; undefined stands for a missing value. */
export type Evaluate = (scope: Scope) => Value | undefined;

/** A compiled expression. A constant one has been evaluated already, so that its errors come at parse time. */
export interface Node {
  evaluate: Evaluate;
  constant: boolean;
}

/** Settings of one compilation, and the names in scope; operators compile their arguments through it. */
export interface Context {
  readonly collator: Collator | undefined;
  readonly variables: ReadonlyMap<string, number>;
  /** Collects which parts of the document are read. */
  readonly uses: { fields: Set<string>; whole: boolean } | undefined;
  /** Number of slots that the whole compilation uses. */
  readonly slots: { count: number };
  compile(expression: Value): Node;
  /** A context with more variables, each bound to its own slot. */
  bind(names: readonly string[]): { context: Context; slots: number[] };
}

/** Compiles the argument of one operator. */
export type OperatorCompiler = (argument: Value, context: Context, name: string) => Node;

/** A table of operators, by name with the dollar. */
export type OperatorTable = Readonly<Record<string, OperatorCompiler>>;

/** A node whose value is always `value`. */
export function constantNode(value: Value | undefined): Node {
  return { evaluate: () => value, constant: true };
}

/** A node that is evaluated at once when everything it depends on is constant. */
export function foldedNode(children: readonly Node[], evaluate: Evaluate): Node {
  if (!children.every((child) => child.constant)) return { evaluate, constant: false };
  return constantNode(evaluate({ root: undefined, slots: [] }));
}

/** A node that MongoDB does not evaluate before there is a document, so that its errors come late. */
export function lazyNode(evaluate: Evaluate): Node {
  return { evaluate, constant: false };
}

/** The value of a node that is constant. */
export function constantValue(node: Node): Value | undefined {
  return node.evaluate({ root: undefined, slots: [] });
}

/** Null, BSON's undefined (read as null) and missing are all "nullish" to most operators. */
export function isNullish(value: Value | undefined): value is null | undefined {
  return value === null || value === undefined;
}

/** Whether a value is a document (and not one of the BSON classes). */
export function isDocument(value: Value | undefined): value is Document {
  return value instanceof Map;
}

/** The arguments of an operator that takes a list; a single argument may be written without brackets. */
export function argumentList(argument: Value): Value[] {
  return Array.isArray(argument) ? argument : [argument];
}

/** An operator of a fixed number of arguments (MongoDB's 16020 on another number). */
export function fixed(
  count: number,
  compute: (values: (Value | undefined)[], context: Context, name: string) => Value | undefined,
): OperatorCompiler {
  return ranged(count, count, compute);
}

/** An operator of `min` to `max` arguments; with min = max MongoDB answers 16020, else 28667. */
export function ranged(
  min: number,
  max: number,
  compute: (values: (Value | undefined)[], context: Context, name: string) => Value | undefined,
): OperatorCompiler {
  return (argument, context, name) => {
    const list = argumentList(argument);
    if (list.length < min || list.length > max) {
      if (min === max) {
        throw new StoreError(
          16020,
          `Expression ${name} takes exactly ${min} arguments. ${list.length} were passed in.`,
        );
      }
      throw new StoreError(
        28667,
        `Expression ${name} takes at least ${min} arguments, and at most ${max}, but ${list.length} were passed in.`,
      );
    }
    const children = list.map((item) => context.compile(item));
    return foldedNode(children, (scope) =>
      compute(
        children.map((child) => child.evaluate(scope)),
        context,
        name,
      ),
    );
  };
}

/** An operator of any number of arguments. */
export function variadic(
  compute: (values: (Value | undefined)[], context: Context, name: string) => Value | undefined,
): OperatorCompiler {
  return ranged(0, Number.POSITIVE_INFINITY, compute);
}

/** The named arguments of an operator. */
export interface NamedArguments {
  required: readonly string[];
  optional?: readonly string[];
  /** Codes for: argument is not an object, unknown name, missing name. */
  codes: { object: number; unknown: number; missing: number };
}

/** Checks and compiles the named arguments of an operator such as $dateToString. */
export function namedNodes(
  argument: Value,
  context: Context,
  name: string,
  shape: NamedArguments,
): Record<string, Node | undefined> {
  const values = namedValues(argument, name, shape);
  return Object.fromEntries([...values].map(([key, value]) => [key, context.compile(value)]));
}

/** The named arguments, checked but not compiled. */
export function namedValues(argument: Value, name: string, shape: NamedArguments): Document {
  if (!isDocument(argument)) {
    throw new StoreError(shape.codes.object, `${name} only supports an object as its argument`);
  }
  for (const key of argument.keys()) {
    if (!shape.required.includes(key) && !shape.optional?.includes(key)) {
      throw new StoreError(shape.codes.unknown, `Unrecognized argument to ${name}: ${key}`);
    }
  }
  for (const key of shape.required) {
    if (!argument.has(key)) {
      throw new StoreError(shape.codes.missing, `Missing '${key}' parameter to ${name}`);
    }
  }
  return argument;
}

/** An operator of named arguments whose values are computed before it runs. */
export function named(
  shape: NamedArguments,
  compute: (
    values: Readonly<Record<string, Value | undefined>>,
    given: (key: string) => boolean,
    context: Context,
  ) => Value | undefined,
): OperatorCompiler {
  return (argument, context, name) => {
    const nodes = namedNodes(argument, context, name, shape);
    const entries = Object.entries(nodes).filter((entry): entry is [string, Node] => entry[1] !== undefined);
    const given = (key: string): boolean => nodes[key] !== undefined;
    return foldedNode(
      entries.map(([, node]) => node),
      (scope) =>
        compute(
          Object.fromEntries(entries.map(([key, node]) => [key, node.evaluate(scope)])),
          given,
          context,
        ),
    );
  };
}
