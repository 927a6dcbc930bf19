import type { Document, Value } from '../bson/types';
import { withEqualities } from './expr-equality';
import type { Variables } from './expression';
import { sortSpec, stageCount } from './stages/flow';

/** The first stages of a pipeline that a find can do, so that the query planner can use indexes for them. */
export interface Prefix {
  filter?: Document | undefined;
  sort?: Document | undefined;
  skip?: number | undefined;
  limit?: number | undefined;
  /** How many stages of the pipeline this covers. */
  stages: number;
}

/** Combines the leading $match, $sort, $skip and $limit stages of a pipeline. */
export function splitPrefix(stages: readonly Document[], variables: Variables): Prefix {
  const filters: Document[] = [];
  const prefix: Prefix = { stages: 0 };
  for (const stage of stages) {
    const [name, spec] = [...stage][0] as [string, Value];
    if (!absorb(prefix, filters, name, spec)) break;
    prefix.stages++;
  }
  const [first, ...others] = filters;
  const filter = others.length === 0 ? first : new Map([['$and', filters]]);
  prefix.filter = filter && withEqualities(filter, variables);
  return prefix;
}

function absorb(prefix: Prefix, filters: Document[], name: string, spec: Value): boolean {
  const cut = prefix.skip !== undefined || prefix.limit !== undefined;
  if (name === '$match' && !cut) {
    // A filter may move before the sort: it does not change the order.
    filters.push(spec as Document);
    return true;
  }
  if (name === '$sort' && !cut && prefix.sort === undefined) {
    prefix.sort = sortSpec(spec);
    return true;
  }
  if (name === '$skip') {
    const count = stageCount(spec, name);
    // The limit would become 0, and a limit of 0 means no limit.
    if (prefix.limit !== undefined && count >= prefix.limit) return false;
    if (prefix.limit !== undefined) prefix.limit -= count;
    prefix.skip = (prefix.skip ?? 0) + count;
    return true;
  }
  if (name === '$limit') {
    prefix.limit = Math.min(prefix.limit ?? Number.POSITIVE_INFINITY, stageCount(spec, name));
    return true;
  }
  return false;
}
