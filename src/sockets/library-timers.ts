import type { Logger } from '../utils/logger';

/**
 * Controls the timers of a library that restarts them in their own callbacks, catches no errors in them, and offers no
 * way to stop them. While `run` calls into the library, the global `setTimeout` is replaced: the timers that it starts
 * catch errors, do not keep the process alive, and end with `stop`. The calls are synchronous, so no other code runs
 * with the replaced `setTimeout`.
 */
export class LibraryTimers {
  private readonly timers = new Set<NodeJS.Timeout>();
  private stopped = false;

  constructor(private readonly logger: Logger) {}

  /** Calls into the library, and takes control of the timers that it starts. */
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

  /** Stops all timers. No timer starts after that. */
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
        // The failed callback could not restart its timer itself.
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
