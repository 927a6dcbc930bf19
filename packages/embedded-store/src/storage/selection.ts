import { SORT_MEMORY_LIMIT, Sorter } from '../query/sorter';
import type { Sort } from '../query/sort';
import type { Plan } from '../index/plan';
import type { Collection } from './catalog';
import { uniqueLookup } from './lookup';
import type { Changes, Selected, SelectionSpec, Source } from './selection-spec';
import { scanPlan } from './plan-scan';
import type { PlanScan, ScanServices } from './plan-scan';
import type { StoredDocument } from './stored-document';

/** Documents that are examined between two ticks. At a tick the caller may check the time. */
const TICK = 64;

/** Finds documents by the best plan, one at a time. */
export class Selection {
  readonly scan: PlanScan;
  #steps: Iterator<Selected | undefined>;
  #taken = 0;
  #ended = false;

  constructor(
    services: ScanServices,
    readonly collection: Collection,
    readonly spec: SelectionSpec,
    private readonly source: Source,
    /** The plan, if it has been chosen already. */
    plan?: Plan,
  ) {
    this.scan = scanPlan(services, collection, spec, source, plan);
    this.#steps = this.#run();
  }

  /** Whether the end is known to be reached; a scan detects its end only by the next step. */
  get ended(): boolean {
    return this.#ended || (this.spec.limit !== undefined && this.#taken >= this.spec.limit);
  }

  /** Whether documents can be skipped, and counted, without being read. */
  get canSkip(): boolean {
    const sorted = this.spec.sort === undefined || this.scan.providesSort;
    return (
      this.scan.skipOne !== undefined && sorted && !this.source.transaction?.changes(this.collection)?.size
    );
  }

  /** Skips a document without reading it; returns false at the end. Only to be called if `canSkip`. */
  skipOne(): boolean {
    if (this.ended || !this.scan.skipOne?.()) return false;
    this.#taken++;
    return true;
  }

  /** The next document; undefined at a tick, when nothing was found yet; null at the end. */
  next(): Selected | undefined | null {
    if (this.ended) return null;
    const step = this.#steps.next();
    if (step.done) {
      this.#ended = true;
      return null;
    }
    if (step.value) this.#taken++;
    return step.value;
  }

  /** Releases the data file between two batches. */
  pause(): void {
    this.scan.pause();
  }

  *#run(): Iterator<Selected | undefined> {
    const { spec } = this;
    let skip = spec.skip;
    const changes = this.source.transaction?.changes(this.collection);
    const sorted = spec.sort === undefined || this.scan.providesSort;
    if (this.canSkip) {
      for (; skip > 0 && this.scan.skipOne?.(); skip--) if (skip % TICK === 0) yield undefined;
      if (skip > 0) return;
    }
    const found = changes?.size ? this.#overlaid(changes) : this.#scanned();
    for (const item of sorted ? found : this.#sorted(found)) {
      if (item && skip > 0) skip--;
      else yield item;
    }
  }

  *#scanned(): Iterable<Selected | undefined> {
    const { filter } = this.spec;
    yield* this.scan.prepare?.() ?? [];
    let untilTick = TICK;
    for (let item = this.scan.next(); item; item = this.scan.next()) {
      if (item.matched || filter.matchesBytes(item.stored.bytes)) yield item;
      if (--untilTick === 0) {
        untilTick = TICK;
        yield undefined;
      }
    }
  }

  /** The scan without the documents that the transaction changed, merged with the changed ones that match. */
  *#overlaid(changes: Changes): Iterable<Selected | undefined> {
    const { filter, sort } = this.spec;
    const own: Selected[] = [];
    for (const stored of this.#candidates(changes)) {
      if (!stored || !filter.matches(stored.document)) continue;
      const score = this.scan.scoreOf?.(stored);
      if (!this.scan.scoreOf || score !== undefined) own.push({ stored, score });
    }
    const merge = sort && this.scan.providesSort ? sort : undefined;
    const compare = (a: Selected, b: Selected): number =>
      merge ? merge.compareKeys(keyOf(merge, a), keyOf(merge, b)) : 0;
    if (merge) own.sort(compare);
    else own.sort((a, b) => a.stored.recordId - b.stored.recordId);
    for (const item of this.#scanned()) {
      if (item && changes.has(item.stored.recordId)) continue;
      while (merge && item && own[0] && compare(own[0], item) < 0) {
        yield own.shift();
      }
      yield item;
    }
    yield* own;
  }

  /** The changed documents that may match: those with the looked-up keys of a unique index, or all of them. */
  #candidates(changes: Changes): Iterable<StoredDocument | undefined> {
    const { plan } = this.scan;
    const { transaction } = this.source;
    const lookup = transaction && plan && uniqueLookup(this.collection, plan);
    if (!lookup || lookup.keys.length >= changes.size) return changes.values();
    const ids = lookup.keys.flatMap((key) => transaction.holders(this.collection, lookup.index, key));
    return [...new Set(ids)].map((recordId) => changes.get(recordId));
  }

  *#sorted(found: Iterable<Selected | undefined>): Iterable<Selected | undefined> {
    const { sort, limit, skip, allowDiskUse } = this.spec;
    if (!sort) return;
    const sorter = new Sorter<Selected>(sort, {
      limit: limit === undefined ? undefined : limit + skip,
      memoryLimit: allowDiskUse ? Infinity : SORT_MEMORY_LIMIT,
      // Equal documents are in the order of storage, whichever index was scanned.
      ties: (a, b) => a.stored.recordId - b.stored.recordId,
    });
    for (const item of found) {
      if (!item) yield undefined;
      else {
        const { stored, score } = item;
        sorter.add(item, stored.document, stored.bytes.length, { textScore: score });
      }
    }
    // All documents are in memory now, so the end is known with the last one.
    const items = sorter.finish();
    this.scan.pause();
    for (const [position, item] of items.entries()) {
      if (position === items.length - 1) this.#ended = true;
      yield item;
    }
  }
}

function keyOf(sort: Sort, { stored, score }: Selected): ReturnType<Sort['key']> {
  return sort.key(stored.document, { textScore: score });
}
