import type { Document, Value } from '../bson/types';
import { RecentMap } from '../recent-map';
import { MODIFIERS } from './modifiers';
import type { ModifierOptions } from './modifiers/modifier';
import { comparePathNames } from './path';
import type { ObjectNode, UpdateNode } from './tree';

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

interface Operand {
  readonly operator: string;
  readonly name: string;
  readonly argument: Value;
}

/**
 * The tree of such an update; undefined for any other, also for one that is not valid.
 *
 * @throws StoreError the errors of the operators.
 */
export function simpleTree(update: Document, options: ModifierOptions): ObjectNode | undefined {
  const operands: Operand[] = [];
  let id = '';
  for (const [operator, fields] of update) {
    if (!(fields instanceof Map) || fields.size === 0) return undefined;
    id += `${operator}\0`;
    for (const [name, argument] of fields) {
      if (operands.length === MAX_FIELDS || name.length > MAX_NAME) return undefined;
      id += `${name}\0`;
      operands.push({ operator, name, argument });
    }
    id += '\0';
  }
  let order = orders.get(id);
  if (order === undefined) orders.set(id, (order = orderOf(operands)));
  if (order === NONE) return undefined;
  // In the order in which they are written, so that the first operator with a wrong argument determines the error.
  const nodes = operands.map(({ operator, name, argument }): UpdateNode => {
    const modifier = MODIFIERS.get(operator);
    if (!modifier) throw new Error(`the shape of an update has an unknown operator ${operator}`);
    return { kind: 'leaf', leaf: modifier(name, argument, options) };
  });
  const children = new Map<string, UpdateNode>();
  for (const position of order)
    children.set((operands[position] as Operand).name, nodes[position] as UpdateNode);
  return { kind: 'object', children };
}

function orderOf(operands: readonly Operand[]): readonly number[] {
  const names = new Set<string>();
  for (const { operator, name } of operands) {
    const isField = name !== '' && !name.startsWith('$') && !name.includes('.');
    if (!isField || !MODIFIERS.has(operator) || names.has(name)) return NONE;
    names.add(name);
  }
  const nameAt = (position: number) => (operands[position] as Operand).name;
  return operands.map((_, position) => position).sort((a, b) => comparePathNames(nameAt(a), nameAt(b)));
}
