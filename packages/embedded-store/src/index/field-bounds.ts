import { isArrayIndex } from '../bson/paths';
import type { Node } from '../query/ast';
import type { Collator } from '../query/collation';
import type { Component } from './bounds';
import type { Constraint } from './constraints';
import type { CompiledIndex, IndexField } from './definition';
import { FULL, intersection, isFull, type Interval } from './interval';

/** The part of one index field that has to be scanned. */
export interface FieldBounds {
  /** Sorted and disjoint, in ascending order of values; the full interval when nothing is known. */
  intervals: readonly Interval[];
  /** Conjuncts that need no check for keys inside the intervals. */
  settled: Node[];
  /** Documents can have several keys that differ in this field. */
  multikey: boolean;
}

interface Choice {
  intervals: readonly Interval[];
  subdocument: number | undefined;
}

/** Whether documents may have arrays at a field, so that its bounds apply to single elements only. */
export function isMultikeyField(index: CompiledIndex, position: number): boolean {
  // A number in a path can be a position in an array, which the matcher handles differently.
  if ((index.fields[position] as IndexField).parts.some(isArrayIndex)) return true;
  if (!index.multikey) return false;
  return index.multikeyFields === undefined || ((index.multikeyFields >> position) & 1) === 1;
}

/** Computes the bounds of each field of an index. */
export function fieldBounds(
  index: CompiledIndex,
  constraints: readonly Constraint[],
  queryCollator: Collator | undefined,
): FieldBounds[] {
  const component: Component = {
    limit: index.componentLimit,
    indexCollator: index.collator,
    queryCollator,
  };
  const used = new Map<string, number | undefined>();
  return index.fields.map((field, position) => {
    const positional = field.parts.some(isArrayIndex);
    const own = constraints.filter(
      // `{'a.0': null}` matches where some element is a document without the field "0", which the index
      // cannot show.
      (constraint) => constraint.path === field.path && !(positional && constraint.acceptsMissing),
    );
    if (!isMultikeyField(index, position)) return scalarBounds(own, component);
    const top = field.parts[0] as string;
    const choices = arrayChoices(own, component).filter(
      // Two fields of one array are bounded together only if the query requires the same element for both.
      (choice) =>
        !used.has(top) || (choice.subdocument !== undefined && choice.subdocument === used.get(top)),
    );
    const best = choices.reduce<Choice | undefined>(
      (a, b) => (a === undefined || width(b) < width(a) ? b : a),
      undefined,
    );
    if (best !== undefined && !used.has(top)) used.set(top, best.subdocument);
    return { intervals: best?.intervals ?? [FULL], settled: [], multikey: true };
  });
}

/** Without arrays all constraints apply to the same value. */
function scalarBounds(constraints: readonly Constraint[], component: Component): FieldBounds {
  let intervals: readonly Interval[] = [FULL];
  const settled: Node[] = [];
  for (const constraint of constraints) {
    const bounds = constraint.bounds(component);
    if (bounds === undefined) continue;
    intervals = intersection(intervals, bounds.intervals);
    const whole = constraint.element === undefined && constraint.subdocument === undefined;
    if (bounds.exact && whole && constraint.node !== undefined) settled.push(constraint.node);
  }
  return { intervals, settled, multikey: false };
}

/**
 * With arrays each constraint may be met by another element, so only one can be used, or those about the same
 * element.
 */
function arrayChoices(constraints: readonly Constraint[], component: Component): Choice[] {
  const choices: Choice[] = [];
  const elements = new Map<number, readonly Interval[]>();
  for (const constraint of constraints) {
    const bounds = constraint.scalarOnly === true ? undefined : constraint.bounds(component);
    if (bounds === undefined) continue;
    let { intervals } = bounds;
    if (constraint.element !== undefined) {
      intervals = intersection(elements.get(constraint.element) ?? [FULL], intervals);
      elements.set(constraint.element, intervals);
    }
    choices.push({ intervals, subdocument: constraint.subdocument });
  }
  return choices;
}

/** A rough estimate of how much of the index a choice scans. */
function width(choice: Choice): number {
  const { intervals } = choice;
  if (intervals.every((interval) => interval.point)) return intervals.length / 1e6;
  return intervals.some(isFull) ? 100 : 10 + intervals.length;
}
