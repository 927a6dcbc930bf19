import type { Logger } from '../utils/logger';

/**
 * The timers of a library that starts them anew from within themselves, catches nothing in them, and has no way to stop
 * them. While `run` calls into the library, the global `setTimeout` is one of ours: what it starts runs in a `try`,
 * keeps no process alive, and ends with `stop`. The calls are synchronous, so nobody else meets that `setTimeout`.
 */
export class LibraryTimers {
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopped = false;

  constructor(private readonly logger: Logger) {}

  /** Calls into the library; its timers are ours from then on. */
  run<Result>(call: () => Result): Result {
    const original = globalThis.setTimeout;
    globalThis.setTimeout = ((callback: () => void, delay?: number) =>
      this.start(callback, delay)) as typeof setTimeout;
    try {
      return call();
    } finally {
      globalThis.setTimeout = original;
    }
  }

  /** Ends all timers; none starts after that. */
  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  private start(callback: () => void, delay: number | undefined): NodeJS.Timeout {
    const timer = setTimeoutOriginal(() => {
      this.timers.delete(timer);
      try {
        this.run(callback);
      } catch (error) {
        this.logger.error({ err: error }, 'a timer of a library failed');
        // It would have started itself anew at its end.
        this.start(callback, delay);
      }
    }, delay);
    timer.unref();
    if (this.stopped) clearTimeout(timer);
    else this.timers.add(timer);
    return timer;
  }
}

const setTimeoutOriginal = globalThis.setTimeout;
