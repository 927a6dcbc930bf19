/** The keys whose last change is stored. */
const MAX_KEYS = 10_000;

/**
 * Records changes, and reports whether something has changed since a mark, in bounded memory. It may report a change
 * that did not happen, but never misses one.
 */
export class RecentChanges {
  /** Counts the changes. */
  private epoch = 0;
  /** The epoch of the last change of each key. */
  private readonly changedAt = new Map<string, number>();
  /** The epoch up to which keys that are not in `changedAt` may have changed. */
  private forgottenUpTo = 0;

  /** @returns the current position, for `changedSince`. */
  mark(): number {
    return this.epoch;
  }

  record(key: string): void {
    if (this.changedAt.size >= MAX_KEYS) this.recordAll();
    this.changedAt.set(key, ++this.epoch);
  }

  /** Records a change of every key. */
  recordAll(): void {
    this.changedAt.clear();
    this.forgottenUpTo = ++this.epoch;
  }

  /** @returns whether any of the keys may have changed since `mark`. */
  changedSince(mark: number, keys: Iterable<string>): boolean {
    if (this.forgottenUpTo > mark) return true;
    if (this.epoch === mark) return false;
    for (const key of keys) if ((this.changedAt.get(key) ?? 0) > mark) return true;
    return false;
  }
}
