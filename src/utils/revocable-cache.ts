import { LRUCache } from 'lru-cache';

/**
 * A bounded cache of what is read from the database, from which an entry can be revoked: an answer that was
 * read before `delete` is never given to a call that comes after it, even if it arrives later.
 */
export class RevocableCache<Value extends object> {
  private readonly values: LRUCache<string, Value>;
  private readonly loading = new Map<string, Promise<Value | undefined>>();

  /** @param maxAge milliseconds after which a value is read again, where others write too; undefined: never. */
  constructor(max: number, maxAge?: number) {
    this.values = new LRUCache({ max, ...(maxAge !== undefined && { ttl: maxAge }) });
  }

  /** The value of a key, read by `load` if it is not there. What `load` does not find is not kept. */
  async get(key: string, load: () => Promise<Value | undefined>): Promise<Value | undefined> {
    const known = this.values.get(key);
    if (known) return known;
    const running = this.loading.get(key) ?? this.start(key, load);
    return running;
  }

  delete(key: string): void {
    this.values.delete(key);
    // Whoever waits for it asked before; whoever asks from now on starts anew.
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
