import type { Logger } from '../../utils/logger';

/**
 * A part of the server with timers, connections, workers or subscriptions. It is constructed without any of these, started
 * once, and stopped once.
 */
export interface Part {
  /** Starts the part. */
  start?(): void | Promise<void>;
  /**
   * Stops the part, and resolves when all its work has ended. It is also called for a part that was not started, or whose
   * start failed.
   */
  stop?(): void | Promise<void>;
  /** Whether its end is awaited however long it takes. */
  stopsAtLeisure?: boolean;
}

/** The name of the part that serves metrics on a port of its own. */
export const METRICS_LISTENER = 'metrics listener';

/** The longest timeout that Node.js accepts. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The server could not be started because of an error of one part, which is the `cause`. */
export class StartError extends Error {
  override readonly name = 'StartError';

  constructor(
    readonly part: string,
    override readonly cause: unknown,
  ) {
    super(`${part}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}

/**
 * Starts parts in the order in which they were registered, which is the order in which they depend on each other, and
 * stops them in reverse. A part that cannot be stopped does not prevent the others from being stopped.
 */
export class Lifecycle {
  /** The parts that have not been stopped. */
  private readonly parts: { name: string; part: Part }[] = [];
  private starting: Promise<void> | undefined;
  private stopping: Promise<void> | undefined;

  constructor(private readonly logger: Pick<Logger, 'error' | 'warn'>) {}

  /** Adds a part. It must not depend on parts that are registered later. */
  register(name: string, part: Part): void {
    this.parts.push({ name, part });
  }

  /**
   * Starts all parts, once. When one cannot be started, all of them are stopped before this rejects.
   * @throws StartError
   */
  start(): Promise<void> {
    this.starting ??= this.startAll();
    return this.starting;
  }

  /**
   * Stops all parts, started or not, in reverse order; further calls return the same promise. Failures are logged.
   * @param timeoutMs the time for all parts together. Each may use half of what is left, so that one that hangs leaves
   *   time for those after it. One that takes longer is logged, and not awaited.
   * @throws AggregateError with all failures, after all other parts have been stopped.
   */
  stop(timeoutMs = Infinity): Promise<void> {
    this.stopping ??= this.stopAll(performance.now() + timeoutMs);
    return this.stopping;
  }

  private async startAll(): Promise<void> {
    for (const { name, part } of [...this.parts]) {
      if (this.stopping) throw new StartError(name, new Error('it was stopped before it had started'));
      try {
        await part.start?.();
      } catch (error) {
        // Failures while stopping are in the log; the first error is the cause.
        await this.stop().catch(() => undefined);
        throw new StartError(name, error);
      }
    }
  }

  private async stopAll(end: number): Promise<void> {
    const failures: Error[] = [];
    for (let last = this.parts.pop(); last; last = this.parts.pop()) {
      try {
        await this.stopOne(last, Math.max(0, (end - performance.now()) / 2));
      } catch (error) {
        this.logger.error({ err: error, part: last.name }, 'a part of the server could not be stopped');
        failures.push(new Error(last.name, { cause: error }));
      }
    }
    if (failures.length > 0) {
      const names = failures.map(({ message }) => message).join(', ');
      throw new AggregateError(failures, `These parts could not be stopped: ${names}.`);
    }
  }

  private async stopOne({ name, part }: { name: string; part: Part }, timeoutMs: number): Promise<void> {
    const stopped = Promise.resolve(part.stop?.()).then(() => true);
    if (part.stopsAtLeisure || timeoutMs > MAX_TIMEOUT_MS) return void (await stopped);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), timeoutMs)));
    const isStopped = await Promise.race([stopped, late]).finally(() => clearTimeout(timer));
    if (isStopped) return;
    this.logger.warn({ part: name }, 'a part of the server takes too long to stop');
    // Its failure has no further consequence.
    stopped.catch(() => undefined);
  }
}
