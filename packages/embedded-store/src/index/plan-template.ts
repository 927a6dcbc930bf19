import type { Value } from '../bson/types';
import type { Node } from '../query/ast';
import type { EqualityFilter, EqualityShape } from '../query/equality';
import { RecentMap } from '../recent-map';
import type { CompiledIndex, IndexField } from './definition';
import { KeyWriter } from './encoding';
import { successor } from './interval';
import { encodeId } from './keys';
import type { IdLookup, IndexScan, Plan } from './plan';

/** A plan without its values: the same for all filters of one shape. */
interface PlanTemplate {
  readonly plan: IdLookup | IndexScan;
  /** Positions in the filter of the values for the leading fields of the index. */
  readonly order: readonly number[];
}

/** For a shape whose plan depends on the values, or reads more than one range. */
const NONE = Symbol('no template');
const MAX_TEMPLATES = 200;
const writer = new KeyWriter();

/**
 * The plans of one collection for filters of equalities without a sort or hint. It must be cleared when the indexes of
 * the collection change, or what is known about their contents.
 */
export class PlanCache {
  readonly #templates = new RecentMap<EqualityShape, PlanTemplate | typeof NONE>(MAX_TEMPLATES);

  /**
   * The plan for a filter: made from the template of its shape, or by `choose`.
   * @param readable returns the indexes among which `choose` may choose.
   */
  plan(
    filter: EqualityFilter,
    readable: () => readonly CompiledIndex[],
    choose: (indexes: readonly CompiledIndex[]) => Plan,
  ): Plan {
    const known = this.#templates.get(filter.shape);
    const made = known === undefined || known === NONE ? undefined : fill(known, filter.values);
    if (made !== undefined) return made;
    const indexes = readable();
    const plan = choose(indexes);
    if (known === undefined) this.#templates.set(filter.shape, templateOf(plan, filter, indexes) ?? NONE);
    return plan;
  }

  clear(): void {
    this.#templates.clear();
  }
}

/** Generalizes a plan; undefined if another filter of the shape may need one that differs in more than its values. */
function templateOf(
  plan: Plan,
  filter: EqualityFilter,
  indexes: readonly CompiledIndex[],
): PlanTemplate | undefined {
  const { names } = filter.shape;
  if (plan.stage === 'IDHACK') return { plan, order: [names.indexOf('_id')] };
  if (plan.stage !== 'IXSCAN' || plan.ranges.length !== 1) return undefined;
  // Whether such an index contains all documents depends on the values.
  if (indexes.some(({ partial }) => partial !== undefined && comparesOneOf(partial.root, names)))
    return undefined;
  const order: number[] = [];
  for (const { path } of plan.index.fields) {
    const position = names.indexOf(path);
    if (position < 0) break;
    order.push(position);
  }
  const template = { plan, order };
  const same = fill(template, filter.values);
  return same?.stage === 'IXSCAN' && sameRange(same, plan) ? template : undefined;
}

function sameRange(a: IndexScan, b: IndexScan): boolean {
  const [one, other] = [a.ranges[0], b.ranges[0]];
  if (one === undefined || other === undefined) return false;
  return one.skip === other.skip && one.lower.equals(other.lower) && one.upper.equals(other.upper);
}

/** Whether a filter compares one of these fields with values. */
function comparesOneOf(node: Node, names: readonly string[]): boolean {
  switch (node.kind) {
    case 'leaf':
      return node.predicate.kind !== 'exists' && names.includes(node.path);
    case 'not':
      return comparesOneOf(node.child, names);
    case 'and':
    case 'or':
    case 'nor':
      return node.children.some((child) => comparesOneOf(child, names));
    default:
      return false;
  }
}

/** A plan with these values; undefined if a value is too long for the index, so that its key would be cut. */
function fill({ plan, order }: PlanTemplate, values: readonly Value[]): IdLookup | IndexScan | undefined {
  if (plan.stage === 'IDHACK') {
    const id = values[order[0] as number] as Value;
    return { ...plan, id, key: encodeId(id) };
  }
  const { index } = plan;
  writer.reset();
  for (let i = 0; i < order.length; i++) {
    const { descending } = index.fields[i] as IndexField;
    writer.component(values[order[i] as number], descending, index.componentLimit, index.collator);
  }
  if (writer.truncated) return undefined;
  const key = writer.take();
  return {
    stage: 'IXSCAN',
    index,
    ranges: [{ lower: key, upper: successor(key), skip: 0 }],
    reverse: plan.reverse,
    residual: plan.residual,
    providesSort: plan.providesSort,
    mergeSort: plan.mergeSort,
    deduplicate: plan.deduplicate,
    keys: plan.keys === undefined ? undefined : [key],
  };
}
