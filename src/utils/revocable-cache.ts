import { CountedCache, type CacheState } from './counted-cache';

/**
 * A bounded cache of values from the database with safe invalidation: a value whose read began before `delete` is never
 * returned to a call after it, even if the read ends later.
 */
export class RevocableCache<Value extends object> implements CacheState {
  private readonly values: CountedCache<string, Value>;
  private readonly loading = new Map<string, Promise<Value | undefined>>();

  /** @param maxAge milliseconds after which a value is read again, where other nodes write too; undefined for never. */
  constructor(max: number, maxAge?: number) {
    this.values = new CountedCache({ max, ...(maxAge !== undefined && { ttl: maxAge }) });
  }

  get size(): number {
    return this.values.size;
  }

  get max(): number {
    return this.values.max;
  }

  get hits(): number {
    return this.values.hits;
  }

  get misses(): number {
    return this.values.misses;
  }

  /** Returns the value of a key, read by `load` if it is not cached. An undefined result of `load` is not cached. */
  async get(key: string, load: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const known = this.values.get(key);
    if (known) return known;
    const running = this.loading.get(key) ?? this.start(key, load);
    return running;
  }

  /** Returns the value of a key if it is cached. */
  peek(key: string): Value | undefined {
    return this.values.get(key);
  }

  delete(key: string): void {
    this.values.delete(key);
    // Earlier callers still get the running read; later ones start a new one.
    this.loading.delete(key);
  }

  /** As `delete` of every key. */
  clear(): void {
    this.values.clear();
    this.loading.clear();
  }

  private start(key: string, load: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const running: Promise<Value | undefined> = load()
      .then((value) => {
        if (value && this.loading.get(key) === running) this.values.set(key, value);
        return value;
      })
      .finally(() => {
        if (this.loading.get(key) === running) this.loading.delete(key);
      });
    this.loading.set(key, running);
    return running;
  }
}
