import { LRUCache } from 'lru-cache';

/** What is known of a cache: how full it is, and how often it had what was looked up. */
export interface CacheState {
  readonly size: number;
  /** The most entries that it keeps. */
  readonly max: number;
  readonly hits: number;
  readonly misses: number;
}

/** A bounded cache that counts its lookups by `get`. */
export class CountedCache<Key extends NonNullable<unknown>, Value extends NonNullable<unknown>>
  extends LRUCache<Key, Value>
  implements CacheState
{
  hits = 0;
  misses = 0;

  override get(key: Key, options?: LRUCache.GetOptions<Key, Value, unknown>): Value | undefined {
    const value = super.get(key, options);
    if (value === undefined) this.misses++;
    else this.hits++;
    return value;
  }
}
