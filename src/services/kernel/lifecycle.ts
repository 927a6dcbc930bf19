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
}

/** The name of the part that serves metrics on a port of its own. */
export const METRICS_LISTENER = 'metrics listener';

/** How long a shutdown waits for requests in flight before it closes their connections. */
export const SHUTDOWN_TIMEOUT_MS = 8000;

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

  constructor(private readonly logger: Pick<Logger, 'error'>) {}

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
   * @throws AggregateError with all failures, after all other parts have been stopped.
   */
  stop(): Promise<void> {
    this.stopping ??= this.stopAll();
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

  private async stopAll(): Promise<void> {
    const failures: Error[] = [];
    for (let last = this.parts.pop(); last; last = this.parts.pop()) {
      try {
        await last.part.stop?.();
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
}
