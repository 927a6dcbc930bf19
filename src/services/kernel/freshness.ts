import { AppError } from '../../utils/errors';

/**
 * How old the last proof may be that this node has processed what other nodes have published. A node that publishes a
 * removal, and gets no confirmation from this one, waits for this time before its call returns.
 */
export const FRESH_MS = 1500;
/** How long a caller waits. */
const MAX_WAIT_MS = 5000;

/**
 * Whether this node has processed all confirmed events that other nodes published up to a moment ago. A process that was
 * suspended, or cannot reach the database, is not fresh: rights may have ended that it still has in memory. Until it is
 * fresh again it must not send events to clients, nor decide by what it remembers.
 */
export class Freshness {
  private freshUntil = -Infinity;
  private readonly waiting = new Set<() => void>();

  /**
   * @param isAlone whether no other node can publish events. Then it is always fresh.
   * @param now a monotonic clock, in milliseconds
   */
  constructor(
    private readonly isAlone: boolean,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get isFresh(): boolean {
    return this.isAlone || this.now() < this.freshUntil;
  }

  /** How long ago the last proof began, in milliseconds. */
  get age(): number {
    return this.now() - (this.freshUntil - FRESH_MS);
  }

  /** Records that everything has been processed that was published before `startedAt`, by the same clock. */
  prove(startedAt: number): void {
    this.freshUntil = startedAt + FRESH_MS;
    if (!this.isFresh) return;
    const waiting = [...this.waiting];
    this.waiting.clear();
    for (const resume of waiting) resume();
  }

  /** Calls `resume` when this node is fresh: at once if it is. */
  whenFresh(resume: () => void): void {
    if (this.isFresh) resume();
    else this.waiting.add(resume);
  }

  /** Resolves when this node is fresh. @throws AppError unavailable, after MAX_WAIT_MS */
  async untilFresh(): Promise<void> {
    if (this.isFresh) return;
    const isFresh = await new Promise<boolean>((resolve) => {
      const resume = (): void => {
        clearTimeout(timeout);
        resolve(true);
      };
      const timeout = setTimeout(() => {
        this.waiting.delete(resume);
        resolve(false);
      }, MAX_WAIT_MS);
      timeout.unref();
      this.whenFresh(resume);
    });
    if (!isFresh) throw new AppError('unavailable', 'The server cannot reach its database. Try again.');
  }
}
