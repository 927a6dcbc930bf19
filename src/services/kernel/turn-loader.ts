import { setImmediate as nextTick } from 'node:timers/promises';
import type { Transactions } from '../../db/transaction';

/** The most keys in one read. */
const MAX_KEYS = 1000;

interface Round<Key, Value> {
  keys: Map<string, Key>;
  found: Promise<ReadonlyMap<string, Value>>;
}

/**
 * Reads what several callers ask for in the same turn of the event loop with one query. The read begins after all of
 * them have asked, so nobody gets anything older than their request. It runs outside of the transactions of the callers.
 */
export class TurnLoader<Key, Value> {
  private round: Round<Key, Value> | undefined;

  /** @param read reads the values of up to 1,000 keys, by the names of the keys. */
  constructor(
    private readonly transactions: Pick<Transactions, 'outside'>,
    private readonly read: (keys: Map<string, Key>) => Promise<ReadonlyMap<string, Value>>,
  ) {}

  /**
   * @param keys by name: equal names stand for the same key.
   * @returns the values by the names of their keys, together with those that other callers have asked for.
   */
  load(keys: Iterable<readonly [string, Key]>): Promise<ReadonlyMap<string, Value>> {
    const round = (this.round ??= this.begin());
    for (const [name, key] of keys) round.keys.set(name, key);
    return round.found;
  }

  private begin(): Round<Key, Value> {
    const keys = new Map<string, Key>();
    const found = this.transactions.outside(async () => {
      await nextTick();
      this.round = undefined;
      return this.readAll(keys);
    });
    return { keys, found };
  }

  private async readAll(keys: Map<string, Key>): Promise<ReadonlyMap<string, Value>> {
    if (keys.size <= MAX_KEYS) return this.read(keys);
    const all = [...keys];
    const found = new Map<string, Value>();
    for (let start = 0; start < all.length; start += MAX_KEYS) {
      const part = await this.read(new Map(all.slice(start, start + MAX_KEYS)));
      for (const [name, value] of part) found.set(name, value);
    }
    return found;
  }
}
