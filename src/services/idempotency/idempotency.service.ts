import { setTimeout as wait } from 'node:timers/promises';
import { MongoError } from 'mongodb';
import type { Transactions } from '../../db/transaction';
import type { Answer } from '../../models/idempotency/idempotency.model';
import { AppError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import { openAnswer, sealAnswer, seals, type KeyedCall, type Seals } from './keyed-call';
import { KeyTaken, type KeyRecords } from './key-records';

/** How long an answer is kept, in milliseconds. */
const LIFETIME = 24 * 3600_000;

/** How long things last, in milliseconds. */
export interface IdempotencyTiming {
  /** How long a duplicate waits for the first. */
  patience: number;
  /** Between two looks whether a write on another node has ended. */
  poll: number;
  /** After which a recorded write counts as dead unless its process says that it goes on. */
  lease: number;
}

const TIMING: IdempotencyTiming = { patience: 10_000, poll: 50, lease: 5000 };

/** A call that is looked for, or under way. */
interface Attempt extends Seals {
  call: KeyedCall;
  /** When it has waited enough for another one with its key. */
  deadline: number;
}

/**
 * The contract of every write that carries a key: however often it comes, over REST or a socket, to whichever
 * node, it is done once, and each time gets the first answer. An error is no answer: whoever repeats a refused
 * write asks anew.
 */
export class IdempotencyService {
  /** The calls under way in this process: the end of each, by the id of its key. */
  private readonly underWay = new Map<string, Promise<void>>();

  /** @param secret what answers are encrypted with, beside the client's key; the same on all nodes. */
  constructor(
    private readonly records: KeyRecords,
    private readonly transactions: Pick<Transactions, 'run' | 'supported'>,
    private readonly secret: string,
    private readonly logger: Logger,
    private readonly timing: IdempotencyTiming = TIMING,
  ) {}

  /**
   * Does the work of a call, or gives the answer to the first call with its key. In mode `atomic` the work is
   * part of a transaction, so it may run again.
   * @throws AppError idempotency_key_reused (another request had this key), idempotency_in_progress (the first
   *   takes too long); what `work` throws.
   */
  async run(call: KeyedCall, work: () => Promise<Answer>): Promise<{ answer: Answer; replayed: boolean }> {
    const attempt = { call, deadline: Date.now() + this.timing.patience, ...seals(call, this.secret) };
    const release = await this.takeTurn(attempt);
    try {
      for (;;) {
        const sealed = await this.records.find(attempt.id);
        if (sealed) return { answer: openAnswer(attempt, sealed), replayed: true };
        if (sealed === undefined) {
          const answer = await this.workUnlessTaken(attempt, work);
          if (answer) return { answer, replayed: false };
        }
        if (Date.now() > attempt.deadline) throw inProgress();
        await wait(this.timing.poll);
      }
    } finally {
      release();
    }
  }

  /** Waits until no other call with this key is under way in this process. */
  private async takeTurn({ id, deadline }: Attempt): Promise<() => void> {
    for (let end = this.underWay.get(id); end; end = this.underWay.get(id)) {
      if (!(await endsBefore(end, deadline))) throw inProgress();
    }
    let release = () => {};
    const end = new Promise<void>((resolve) => {
      release = () => {
        this.underWay.delete(id);
        resolve();
      };
    });
    this.underWay.set(id, end);
    return release;
  }

  /** @returns undefined when another node was first. */
  private async workUnlessTaken(attempt: Attempt, work: () => Promise<Answer>): Promise<Answer | undefined> {
    const atomic = attempt.call.mode === 'atomic' && this.transactions.supported;
    try {
      return await (atomic ? this.workAtomically(attempt, work) : this.workThenRecord(attempt, work));
    } catch (error) {
      if (error instanceof KeyTaken) return undefined;
      throw error;
    }
  }

  /** The write and the record of its answer are there together, or neither is. */
  private workAtomically(attempt: Attempt, work: () => Promise<Answer>): Promise<Answer> {
    const { id, deadline } = attempt;
    return this.transactions.run(async () => {
      // First of all, so that of two at once the other collides here before it has done anything.
      const holder = await this.records.take(id, LIFETIME).catch((error: unknown) => {
        // Another node has it under way; thrown on, the error makes the transaction wait and run again.
        if (isConflict(error) && Date.now() > deadline) throw inProgress();
        throw error;
      });
      const answer = await work();
      await this.records.finish(id, holder, sealAnswer(attempt, answer), LIFETIME);
      return answer;
    });
  }

  /** The record follows the write. Until then a lease keeps other nodes off, and ends if the process dies. */
  private async workThenRecord(attempt: Attempt, work: () => Promise<Answer>): Promise<Answer> {
    const { id } = attempt;
    const { lease } = this.timing;
    const holder = await this.records.take(id, lease);
    const failed = (error: unknown) =>
      this.logger.error({ err: error, operation: attempt.call.operation }, 'an answer could not be recorded');
    const renewal = setInterval(() => void this.records.renew(id, holder, lease).catch(failed), lease / 3);
    try {
      const answer = await work();
      // The work is done: that its answer cannot be recorded is no reason to tell otherwise.
      const record = async () => this.records.finish(id, holder, sealAnswer(attempt, answer), LIFETIME);
      await record().catch(failed);
      return answer;
    } catch (error) {
      await this.records.drop(id, holder).catch(failed);
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }
}

async function endsBefore(end: Promise<void>, deadline: number): Promise<boolean> {
  const patience = new AbortController();
  const late = wait(Math.max(0, deadline - Date.now()), false, { signal: patience.signal }).catch(
    () => false,
  );
  return Promise.race([end.then(() => true), late]).finally(() => patience.abort());
}

function isConflict(error: unknown): boolean {
  return error instanceof MongoError && error.hasErrorLabel('TransientTransactionError');
}

function inProgress(): AppError {
  return new AppError(
    'idempotency_in_progress',
    'The first request with this idempotency key is still under way.',
  );
}
