/** A map of at most `limit` entries: a new entry replaces the one that was not used for the longest time. */
export class RecentMap<K, V> {
  readonly #entries = new Map<K, V>();
  /** The entry of the last call. Repeated calls for one key do not have to change the order. */
  #lastKey: K | undefined;

  constructor(private readonly limit: number) {}

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined || key === this.#lastKey) return value;
    this.#entries.delete(key);
    this.#entries.set(key, value);
    this.#lastKey = key;
    return value;
  }

  set(key: K, value: V): void {
    this.#entries.delete(key);
    if (this.#entries.size >= this.limit) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    this.#entries.set(key, value);
    this.#lastKey = key;
  }

  clear(): void {
    this.#entries.clear();
    this.#lastKey = undefined;
  }
}
