import type { Document, Value } from '../bson/types';
import { RecentMap } from '../recent-map';
import { MODIFIERS } from './modifiers';
import type { ModifierOptions } from './modifiers/modifier';
import { comparePathNames } from './path';
import type { Leaf } from './tree';

/**
 * Updates such as `{$set: {seq}, $inc: {version: 1}}`, whose paths are all top-level fields. An application has few of
 * them, with other arguments each time. What depends only on the operators and names is found once for each shape: that
 * the paths are valid and not in conflict, and the order in which they are applied.
 */

const MAX_SHAPES = 1_000;
const MAX_FIELDS = 16;
/** Longer names are not worth a shape, and would make the cache large. */
const MAX_NAME = 64;

/** The order of application, as positions in the update; NONE for an update that is not of this kind. */
const orders = new RecentMap<string, readonly number[]>(MAX_SHAPES);
const NONE: readonly number[] = [];

/** A shape: the operators and names in the order of the update, and the order of application. */
interface Shape {
  readonly operators: readonly string[];
  readonly names: readonly string[];
  readonly order: readonly number[];
}

/** The shape of the last update: the statements of one command mostly have the same. */
let last: Shape = { operators: [], names: [], order: NONE };

interface Operands {
  operators: string[];
  names: string[];
  values: Value[];
}

/**
 * The operators of such an update by field, in the order of application; undefined for any other update, also for one
 * that is not valid.
 *
 * @throws StoreError the errors of the operators.
 */
export function simpleLeaves(update: Document, options: ModifierOptions): Map<string, Leaf> | undefined {
  const operands = operandsOf(update);
  if (operands === undefined) return undefined;
  const { operators, names, values } = operands;
  const order = orderOf(operands);
  if (order === NONE) return undefined;
  // In the order in which they are written, so that the first operator with a wrong argument determines the error.
  const made = values.map((argument, position): Leaf => {
    const modifier = MODIFIERS.get(operators[position] as string);
    if (!modifier) throw new Error(`the shape of an update has an unknown operator ${operators[position]}`);
    return modifier(names[position] as string, argument, options);
  });
  const leaves = new Map<string, Leaf>();
  for (const position of order) leaves.set(names[position] as string, made[position] as Leaf);
  return leaves;
}

function operandsOf(update: Document): Operands | undefined {
  const operands: Operands = { operators: [], names: [], values: [] };
  for (const [operator, fields] of update) {
    if (!(fields instanceof Map) || fields.size === 0) return undefined;
    for (const [name, argument] of fields) {
      if (operands.names.length === MAX_FIELDS || name.length > MAX_NAME) return undefined;
      operands.operators.push(operator);
      operands.names.push(name);
      operands.values.push(argument);
    }
  }
  return operands;
}

function orderOf({ operators, names }: Operands): readonly number[] {
  if (isSame(operators, last.operators) && isSame(names, last.names)) return last.order;
  const id = `${operators.join('\0')}\0\0${names.join('\0')}`;
  let order = orders.get(id);
  if (order === undefined) orders.set(id, (order = newOrder(operators, names)));
  last = { operators, names, order };
  return order;
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function newOrder(operators: readonly string[], names: readonly string[]): readonly number[] {
  const isField = (name: string) => name !== '' && !name.startsWith('$') && !name.includes('.');
  const areSimple = operators.every((operator) => MODIFIERS.has(operator)) && names.every(isField);
  if (!areSimple || new Set(names).size < names.length) return NONE;
  const nameAt = (position: number) => names[position] as string;
  return names.map((_, position) => position).sort((a, b) => comparePathNames(nameAt(a), nameAt(b)));
}
