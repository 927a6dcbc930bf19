import { dictionary } from '@zxcvbn-ts/language-common';
import bcrypt from 'bcrypt';
import type { Origin } from '../../models/identity/session.model';
import { MAX_PASSWORD_BYTES } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import { FairQueue, type JobOptions } from '../kernel/fair-queue';
import { networkOf } from '../../utils/network';
import { HashWorkers, hashThreads } from './hash-workers';

const COMMON_PASSWORDS = new Set<string>(dictionary['passwords-common']);

/** Refuses common passwords, which attackers try first. @throws AppError password_too_common */
export function refuseCommonPassword(password: string, username: string): void {
  const lower = password.toLowerCase();
  const isOneCharacter = new Set(lower).size <= 2;
  if (COMMON_PASSWORDS.has(lower) || isOneCharacter || lower === username.toLowerCase()) {
    throw new AppError('password_too_common', 'This password is too common: attackers try it first.');
  }
}

/** The most jobs that wait for each thread, in all and from one network. At cost 12 this is half a minute of work. */
const MAX_WAITING = 64;
const MAX_WAITING_PER_ADDRESS = 32;

/** Where the request for a hash comes from, and whether its client still waits. */
export type HashOrigin = Pick<Origin, 'address' | 'signal'>;

/**
 * `continues`: the request has already proved a password and may have spent a code, so it is never refused for load.
 */
export type HashOptions = Pick<JobOptions, 'continues'>;

/**
 * Hashes and compares passwords with bcrypt, a few at a time, in separate threads. Requests wait in a bounded queue that
 * serves networks in rotation. Its methods throw AppError rate_limited when too many requests of one network wait, and
 * unavailable when too many wait in all.
 */
export class PasswordHasher {
  private readonly workers = new HashWorkers();
  readonly queue: FairQueue;
  /** A hash of no password at the same cost, so that refusing an unknown user takes as long as refusing a known one. */
  private readonly dummyHash: string;

  /** @param threads the number of passwords that are hashed at the same time. */
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

  /** Hashes a password. */
  hash(password: string, origin: HashOrigin, options: HashOptions = {}): Promise<string> {
    const { cost } = this;
    return this.enqueue(origin, () => this.workers.run({ kind: 'hash', password, cost }), options);
  }

  /** Whether a hash was created at a cost other than the configured one. */
  isOutdated(hash: string): boolean {
    return bcrypt.getRounds(hash) !== this.cost;
  }

  /** Whether a password matches a hash. Without a hash, the answer is false after the same time. */
  async matches(
    password: string,
    hash: string | undefined,
    origin: HashOrigin,
    options: HashOptions = {},
  ): Promise<boolean> {
    const job = { kind: 'matches', password, hash: hash ?? this.dummyHash, cost: this.cost } as const;
    const equal = await this.enqueue(origin, () => this.workers.run(job), options);
    // bcrypt compares only the beginning of a longer password.
    return equal && hash !== undefined && Buffer.byteLength(password) <= MAX_PASSWORD_BYTES;
  }

  /** Refuses waiting requests and ends the threads. */
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
