import { StoreError } from '../errors';
import type { Connection } from '../wire/listener';

/** A running command. Long reads call `check` regularly. */
export class Operation {
  readonly startedAt = performance.now();
  #killed = false;

  constructor(
    readonly id: number,
    readonly command: string,
    readonly namespace: string,
    readonly connection: Connection,
    /** `performance.now()` after which it fails with MaxTimeMSExpired. */
    public deadline: number | undefined,
  ) {}

  kill(): void {
    this.#killed = true;
  }

  /** Throws when the operation was killed, its client has disconnected, or its time limit is reached. */
  check(now: number): void {
    if (this.deadline !== undefined && now > this.deadline) {
      throw new StoreError('MaxTimeMSExpired', 'operation exceeded time limit');
    }
    if (this.#killed || this.connection.isClosed) {
      throw new StoreError('Interrupted', 'operation was interrupted');
    }
  }
}

/** The running commands, for currentOp and killOp. */
export class Operations {
  #running = new Map<number, Operation>();
  #lastId = 0;

  start(command: string, namespace: string, connection: Connection, deadline: number | undefined): Operation {
    const operation = new Operation(++this.#lastId, command, namespace, connection, deadline);
    this.#running.set(operation.id, operation);
    return operation;
  }

  end(operation: Operation): void {
    this.#running.delete(operation.id);
  }

  find(id: number): Operation | undefined {
    return this.#running.get(id);
  }

  list(): Operation[] {
    return [...this.#running.values()];
  }
}
