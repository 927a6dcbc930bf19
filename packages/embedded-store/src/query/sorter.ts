import type { Document } from '../bson/types';
import { StoreError } from '../errors';
import type { DocumentMeta, Sort } from './sort';
import type { KeyValues } from './sort-keys';

/** The memory limit of one sort in MongoDB, in bytes. */
export const SORT_MEMORY_LIMIT = 100 * 1024 * 1024;
/** Below this number of entries, truncating them to the limit more often would save little memory. */
const MIN_BUFFER = 1024;

interface Entry<T> {
  readonly key: KeyValues;
  readonly item: T;
  readonly size: number;
}

/** How to sort. */
export interface SorterOptions<T> {
  /** How many of the first items are kept; undefined for all. */
  readonly limit?: number | undefined;
  /** In bytes; Infinity where the client allows the use of the disk. */
  readonly memoryLimit?: number | undefined;
  /** Compares items that are equal in the sort; by default they keep the order in which they were added. */
  readonly ties?: (a: T, b: T) => number;
}

/** Collects the results of a query and returns them in order. */
export class Sorter<T> {
  private entries: Entry<T>[] = [];
  private bytes = 0;
  private readonly limit: number;

  constructor(
    private readonly sort: Sort,
    private readonly options: SorterOptions<T> = {},
  ) {
    this.limit = options.limit ?? Infinity;
  }

  /**
   * @param size The size of the item in bytes, counted against the memory limit.
   * @throws StoreError QueryExceededMemoryLimitNoDiskUseAllowed
   */
  add(item: T, document: Document, size: number, meta?: DocumentMeta): void {
    this.entries.push({ key: this.sort.key(document, meta), item, size });
    this.bytes += size;
    if (this.entries.length >= 2 * Math.max(this.limit, MIN_BUFFER)) this.cut();
    const allowed = this.options.memoryLimit ?? SORT_MEMORY_LIMIT;
    if (this.bytes <= allowed) return;
    if (this.entries.length > this.limit) this.cut();
    if (this.bytes <= allowed) return;
    throw new StoreError(
      'QueryExceededMemoryLimitNoDiskUseAllowed',
      `Executor error during find command :: caused by :: Sort exceeded memory limit of ${allowed} bytes, ` +
        'but did not opt in to external sorting.',
    );
  }

  /** The items in order, at most `limit` of them. */
  finish(): T[] {
    this.cut();
    return this.entries.map(({ item }) => item);
  }

  private cut(): void {
    const { ties } = this.options;
    this.entries.sort((a, b) => {
      const order = this.sort.compareKeys(a.key, b.key);
      return order !== 0 || !ties ? order : ties(a.item, b.item);
    });
    for (const { size } of this.entries.splice(Math.min(this.limit, this.entries.length))) this.bytes -= size;
  }
}
