import { StoreError } from '../errors';
import type { Collator } from '../query/collation';
import type { Document, Value } from '../bson/types';
import { checkFieldName, parsePath, readPath } from './field-path';
import { OPERATORS } from './operators';
import { type Context, type Node, type Scope, constantNode, foldedNode } from './scope';
import { checkVariableRead } from './variables';

/** Values of variables by name; undefined for one that is bound to a missing value. */
export type Variables = ReadonlyMap<string, Value | undefined>;

/** Which parts of the document some expressions read: top-level fields, or all of it. */
export interface Uses {
  fields: Set<string>;
  whole: boolean;
}

/** Settings of an expression. */
export interface ExpressionOptions {
  collator?: Collator | undefined;
  /** Constants of the command (`let`), or of an outer pipeline. */
  variables?: Variables | undefined;
  /** Names of variables whose values are passed to each run. */
  names?: readonly string[] | undefined;
  /** Collects what the expression reads. */
  uses?: Uses | undefined;
  /** The command's time for $$NOW; by default the time of each evaluation. */
  now?: Date | undefined;
}

/** A compiled expression; undefined is a missing value. */
export type Expression = (root: Document, vars?: ReadonlyMap<string, Value | undefined>) => Value | undefined;

/**
 * Compiles an aggregation expression: a field path ("$a.b"), a variable ("$$ROOT"), an operator, an array
 * or document of expressions, or a constant. Bad expressions throw MongoDB's own errors at compile time,
 * as do constant parts that cannot be computed.
 */
export function compileExpression(expression: Value, options: ExpressionOptions = {}): Expression {
  const outer = [...(options.variables?.keys() ?? []), ...(options.names ?? [])];
  const slots = { count: 0 };
  const names = new Map<string, number>();
  for (const name of ['ROOT', 'CURRENT', 'NOW', ...outer]) names.set(name, slots.count++);
  const context = makeContext(options.collator, names, slots, options.uses);
  const node = context.compile(expression);
  return (root, vars) => {
    const scope: Scope = { root, slots: new Array<Value | undefined>(slots.count) };
    scope.slots[0] = root;
    scope.slots[1] = root;
    scope.slots[2] = options.now ?? new Date();
    for (const [name, value] of options.variables ?? []) scope.slots[names.get(name) as number] = value;
    for (const name of options.names ?? []) scope.slots[names.get(name) as number] = vars?.get(name);
    return node.evaluate(scope);
  };
}

/** ROOT and CURRENT. */
const DOCUMENT_SLOTS = 2;

function makeContext(
  collator: Collator | undefined,
  variables: ReadonlyMap<string, number>,
  slots: { count: number },
  uses: Uses | undefined,
): Context {
  const context: Context = {
    collator,
    variables,
    slots,
    uses,
    compile: (expression) => compileNode(expression, context),
    bind(names) {
      const bound = names.map(() => slots.count++);
      const inner = new Map(variables);
      names.forEach((name, i) => inner.set(name, bound[i] as number));
      return { context: makeContext(collator, inner, slots, uses), slots: bound };
    },
  };
  return context;
}

function compileNode(expression: Value, context: Context): Node {
  if (typeof expression === 'string') {
    return expression.startsWith('$') ? compilePath(expression, context) : constantNode(expression);
  }
  if (Array.isArray(expression)) {
    const items = expression.map((item) => context.compile(item));
    return foldedNode(items, (scope) => items.map((item) => item.evaluate(scope) ?? null));
  }
  return expression instanceof Map ? compileObject(expression, context) : constantNode(expression);
}

function compilePath(text: string, context: Context): Node {
  if (text === '$') throw new StoreError(16872, "'$' by itself is not a valid FieldPath");
  if (!text.startsWith('$$')) return pathNode('CURRENT', parsePath(text.slice(1)), context);
  const dot = text.indexOf('.');
  const name = text.slice(2, dot < 0 ? undefined : dot);
  checkVariableRead(name);
  const parts = dot < 0 ? [] : parsePath(text.slice(dot + 1));
  if (name === 'REMOVE') return { evaluate: () => undefined, constant: false };
  return pathNode(name, parts, context);
}

function pathNode(variable: string, parts: string[], context: Context): Node {
  const slot = context.variables.get(variable);
  if (slot === undefined) throw new StoreError(17276, `Use of undefined variable: ${variable}`);
  const [first] = parts;
  if (slot < DOCUMENT_SLOTS) note(context.uses, first);
  if (first === undefined) return { evaluate: ({ slots }) => slots[slot], constant: false };
  return { evaluate: ({ slots }) => readPath(slots[slot], parts), constant: false };
}

function note(uses: Uses | undefined, field: string | undefined): void {
  if (uses === undefined) return;
  if (field === undefined) uses.whole = true;
  else uses.fields.add(field);
}

function compileObject(expression: Document, context: Context): Node {
  const entries = [...expression];
  const [operator] = entries;
  if (operator === undefined || !operator[0].startsWith('$')) {
    const fields = entries.map(([key, value]) => {
      checkFieldName(key);
      return [key, context.compile(value)] as const;
    });
    return foldedNode(
      fields.map(([, node]) => node),
      (scope) => {
        const made: Document = new Map();
        for (const [key, node] of fields) {
          const value = node.evaluate(scope);
          if (value !== undefined) made.set(key, value);
        }
        return made;
      },
    );
  }
  const [name, argument] = operator;
  if (entries.length !== 1) {
    throw new StoreError(
      15983,
      `An object representing an expression must have exactly one field: ${entries.map(([key]) => key).join(', ')}`,
    );
  }
  const compileOperator = OPERATORS.get(name);
  if (compileOperator === undefined) throw new StoreError(168, `Unrecognized expression '${name}'`);
  return compileOperator(argument, context, name);
}
