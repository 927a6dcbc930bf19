import { setTimeout as wait } from 'node:timers/promises';
import { MongoError } from 'mongodb';
import type { Transactions } from '../../db/transaction';
import type { Answer } from '../../models/idempotency/idempotency.model';
import { AppError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import {
  decryptAnswer,
  encryptAnswer,
  requestKeys,
  type IdempotentRequest,
  type RequestKeys,
} from './idempotent-request';
import { KeyTaken, type KeyRecords } from './key-records';

/** How long an answer is kept. */
const LIFETIME_MS = 24 * 3600_000;

export interface IdempotencyTiming {
  /** How long a duplicate waits for the first request. */
  timeoutMs: number;
  /** The interval at which a duplicate checks whether the write on another node has ended. */
  pollMs: number;
  /** How long the record of a running write is valid unless its process renews it. */
  leaseMs: number;
}

const TIMING: IdempotencyTiming = { timeoutMs: 10_000, pollMs: 50, leaseMs: 5000 };

/** A request that waits or runs. */
interface Attempt extends RequestKeys {
  request: IdempotentRequest;
  /** When it stops waiting for another request with its key, in milliseconds since the epoch. */
  deadline: number;
}

/**
 * Runs writes that carry an idempotency key: however often a request arrives, over REST or a socket and at whichever
 * node, its write runs once, and every repetition gets the first answer. Errors are not recorded: a refused write runs
 * again when it is repeated.
 */
export class IdempotencyService {
  /** The requests that run in this process: a promise of the end of each, by the id of its record. */
  private readonly running = new Map<string, Promise<void>>();

  /** @param secret encrypts answers, together with the client's key; the same on all nodes. */
  constructor(
    private readonly records: KeyRecords,
    private readonly transactions: Pick<Transactions, 'run' | 'supported'>,
    private readonly secret: string,
    private readonly logger: Logger,
    private readonly timing: IdempotencyTiming = TIMING,
  ) {}

  /**
   * Runs the work of a request, or returns the answer to the first request with its key. In mode `atomic` the work is
   * part of a transaction, so it may run again.
   * @throws AppError idempotency_key_reused (another request had this key), idempotency_in_progress (the first
   *   request takes too long); the errors of `work`.
   */
  async run(
    request: IdempotentRequest,
    work: () => Promise<Answer>,
  ): Promise<{ answer: Answer; replayed: boolean }> {
    const attempt = {
      request,
      deadline: Date.now() + this.timing.timeoutMs,
      ...requestKeys(request, this.secret),
    };
    const release = await this.acquire(attempt);
    try {
      for (;;) {
        const encrypted = await this.records.find(attempt.recordId);
        if (encrypted) return { answer: decryptAnswer(attempt, encrypted), replayed: true };
        if (encrypted === undefined) {
          const answer = await this.workUnlessTaken(attempt, work);
          if (answer) return { answer, replayed: false };
        }
        if (Date.now() > attempt.deadline) throw inProgress();
        await wait(this.timing.pollMs);
      }
    } finally {
      release();
    }
  }

  /**
   * Waits until no other request with this key runs in this process.
   * @returns a function that lets the next one run.
   * @throws AppError idempotency_in_progress
   */
  private async acquire({ recordId, deadline }: Attempt): Promise<() => void> {
    for (let end = this.running.get(recordId); end; end = this.running.get(recordId)) {
      if (!(await endsBefore(end, deadline))) throw inProgress();
    }
    let release = () => {};
    const end = new Promise<void>((resolve) => {
      release = () => {
        this.running.delete(recordId);
        resolve();
      };
    });
    this.running.set(recordId, end);
    return release;
  }

  /** @returns undefined if another node was first. */
  private async workUnlessTaken(attempt: Attempt, work: () => Promise<Answer>): Promise<Answer | undefined> {
    const atomic = attempt.request.mode === 'atomic' && this.transactions.supported;
    try {
      return await (atomic ? this.workAtomically(attempt, work) : this.workThenRecord(attempt, work));
    } catch (error) {
      if (error instanceof KeyTaken) return undefined;
      throw error;
    }
  }

  /** Commits the write and the record of its answer in one transaction. */
  private workAtomically(attempt: Attempt, work: () => Promise<Answer>): Promise<Answer> {
    const { recordId, deadline } = attempt;
    return this.transactions.run(async () => {
      // The first write of the transaction, so that a concurrent duplicate conflicts here, before it does any work.
      const holder = await this.records.claim(recordId, LIFETIME_MS).catch((error: unknown) => {
        // Another node runs the request. Rethrown, the error makes the transaction wait and run again.
        if (isConflict(error) && Date.now() > deadline) throw inProgress();
        throw error;
      });
      const answer = await work();
      await this.records.complete(recordId, holder, encryptAnswer(attempt, answer), LIFETIME_MS);
      return answer;
    });
  }

  /** Records the answer after the write. Until then a lease excludes other nodes; it expires if the process dies. */
  private async workThenRecord(attempt: Attempt, work: () => Promise<Answer>): Promise<Answer> {
    const { recordId } = attempt;
    const { leaseMs } = this.timing;
    const holder = await this.records.claim(recordId, leaseMs);
    const logFailure = (error: unknown) =>
      this.logger.error(
        { err: error, operation: attempt.request.operation },
        'an answer could not be recorded',
      );
    const renewal = setInterval(
      () => void this.records.renew(recordId, holder, leaseMs).catch(logFailure),
      leaseMs / 3,
    );
    try {
      const answer = await work();
      // The write has succeeded, so the caller gets its answer even if the record fails.
      const record = async () =>
        this.records.complete(recordId, holder, encryptAnswer(attempt, answer), LIFETIME_MS);
      await record().catch(logFailure);
      return answer;
    } catch (error) {
      await this.records.release(recordId, holder).catch(logFailure);
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }
}

async function endsBefore(end: Promise<void>, deadline: number): Promise<boolean> {
  const timer = new AbortController();
  const late = wait(Math.max(0, deadline - Date.now()), false, { signal: timer.signal }).catch(() => false);
  return Promise.race([end.then(() => true), late]).finally(() => timer.abort());
}

function isConflict(error: unknown): boolean {
  return error instanceof MongoError && error.hasErrorLabel('TransientTransactionError');
}

function inProgress(): AppError {
  return new AppError(
    'idempotency_in_progress',
    'The first request with this idempotency key is still in progress.',
  );
}
