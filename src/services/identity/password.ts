import { dictionary } from '@zxcvbn-ts/language-common';
import bcrypt from 'bcrypt';
import type { Origin } from '../../models/identity/session.model';
import { MAX_PASSWORD_BYTES } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import { FairQueue, type JobOptions } from '../kernel/fair-queue';
import { networkOf } from '../../utils/network';
import { HashWorkers, hashThreads } from './hash-workers';

const COMMON_PASSWORDS = new Set<string>(dictionary['passwords-common']);

/** Refuses passwords that are tried first. @throws AppError password_too_common */
export function refuseCommonPassword(password: string, username: string): void {
  const lower = password.toLowerCase();
  const isOneCharacter = new Set(lower).size <= 2;
  if (COMMON_PASSWORDS.has(lower) || isOneCharacter || lower === username.toLowerCase()) {
    throw new AppError('password_too_common', 'This password is among those that are tried first.');
  }
}

/** For each thread that hashes: jobs that wait, in all and from one address. At cost 12 that is half a minute. */
const MAX_WAITING = 64;
const MAX_WAITING_PER_ADDRESS = 32;

/** Who asks for a hash, and whether they still wait for it. */
export type HashOrigin = Pick<Origin, 'address' | 'signal'>;

/**
 * `continues`: the request has proved a password already, and may have spent a code with it, so it is not refused now.
 */
export type HashOptions = Pick<JobOptions, 'continues'>;

/**
 * Hashes and compares passwords with bcrypt, a few at a time, in threads of its own. Requests wait in a bounded queue
 * in which addresses take turns. Its methods throw AppError rate_limited when too many requests of the same network
 * wait, and unavailable when too many wait in all.
 */
export class PasswordHasher {
  private readonly workers = new HashWorkers();
  private readonly queue: FairQueue;
  /** Made of no known password at the same cost: unknown users take as long to refuse as known ones. */
  private readonly dummyHash: string;

  /** @param threads how many passwords are hashed at the same time. */
  constructor(
    private readonly cost: number,
    threads = hashThreads(),
  ) {
    this.queue = new FairQueue({
      active: threads,
      waiting: MAX_WAITING * threads,
      waitingPerKey: MAX_WAITING_PER_ADDRESS * threads,
    });
    this.dummyHash = `$2b$${String(cost).padStart(2, '0')}$${'.'.repeat(53)}`;
  }

  hash(password: string, origin: HashOrigin, options: HashOptions = {}): Promise<string> {
    const { cost } = this;
    return this.enqueue(origin, () => this.workers.run({ kind: 'hash', password, cost }), options);
  }

  /** Whether a hash was made at another cost than the one that is configured by now. */
  isOutdated(hash: string): boolean {
    return bcrypt.getRounds(hash) !== this.cost;
  }

  /** A refusal takes as long without a hash as with one, unless that was made at a greater cost. */
  async matches(
    password: string,
    hash: string | undefined,
    origin: HashOrigin,
    options: HashOptions = {},
  ): Promise<boolean> {
    const job = { kind: 'matches', password, hash: hash ?? this.dummyHash, cost: this.cost } as const;
    const equal = await this.enqueue(origin, () => this.workers.run(job), options);
    // Of a longer one bcrypt would have compared the beginning.
    return equal && hash !== undefined && Buffer.byteLength(password) <= MAX_PASSWORD_BYTES;
  }

  /** Refuses what waits, and ends the threads. */
  async stop(): Promise<void> {
    this.queue.close();
    await this.workers.close();
  }

  private enqueue<Result>(
    { address, signal }: HashOrigin,
    work: () => Promise<Result>,
    options: HashOptions,
  ): Promise<Result> {
    return this.queue.run(networkOf(address), work, { signal, ...options });
  }
}
