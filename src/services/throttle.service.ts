import { Redis } from 'ioredis';
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type IRateLimiterOptions,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible';
import { AppError } from '../utils/errors';
import type { Logger } from '../utils/logger';

/**
 * How many calls one address may make in a window. Generous, because an office or a school shares an address;
 * they bound what a flood costs. Guessing at one account is slowed down by the backoff below.
 */
const PER_ADDRESS = {
  login: { points: 300, duration: 600 },
  register: { points: 600, duration: 600 },
  refresh: { points: 1200, duration: 600 },
  reset: { points: 60, duration: 600 },
} as const satisfies Record<string, { points: number; duration: number }>;

export type ThrottledCall = keyof typeof PER_ADDRESS;

/** Failures at one account that cost nothing, and how long they are remembered, in seconds. */
const FREE_FAILURES = 5;
const FAILURE_MEMORY = 3600;
/** The wait doubles with each further failure, from one second to this many. */
const LONGEST_BACKOFF = 60;

/** Mails to one account in an hour. */
const MAILS_PER_HOUR = 5;

/** Slows down whoever floods or guesses. Counts are shared by all nodes when there is a Redis server. */
export class ThrottleService {
  private readonly addresses: Record<ThrottledCall, RateLimiterAbstract>;
  private readonly failures: RateLimiterAbstract;
  private readonly backoff: RateLimiterAbstract;
  private readonly mails: RateLimiterAbstract;
  private readonly redis: Redis | undefined;

  constructor(
    private readonly options: { enabled: boolean; redisUrl: string | undefined },
    logger: Logger,
  ) {
    if (options.enabled && options.redisUrl !== undefined) {
      this.redis = new Redis(options.redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 1 });
      this.redis.on('error', (error) => logger.warn({ err: error }, 'Redis cannot be reached'));
    }
    const byAddress = (call: ThrottledCall) =>
      this.limiter({ keyPrefix: `throttle:${call}`, ...PER_ADDRESS[call] });
    this.addresses = {
      login: byAddress('login'),
      register: byAddress('register'),
      refresh: byAddress('refresh'),
      reset: byAddress('reset'),
    };
    this.failures = this.limiter({
      keyPrefix: 'throttle:failures',
      points: Number.MAX_SAFE_INTEGER,
      duration: FAILURE_MEMORY,
    });
    this.backoff = this.limiter({ keyPrefix: 'throttle:backoff', points: 1, duration: 1 });
    this.mails = this.limiter({ keyPrefix: 'throttle:mails', points: MAILS_PER_HOUR, duration: 3600 });
  }

  /** Counts a call of an address. @throws AppError rate_limited */
  async countCall(call: ThrottledCall, address: string): Promise<void> {
    if (this.options.enabled) await consume(this.addresses[call], address);
  }

  /** Counts a mail to an account. @returns false when it has had too many. */
  async mayMail(account: string): Promise<boolean> {
    if (!this.options.enabled) return true;
    return consume(this.mails, fold(account)).then(
      () => true,
      (error: unknown) => {
        if (error instanceof AppError) return false;
        throw error;
      },
    );
  }

  /** Refuses a try at an account that has to wait after failures. @throws AppError rate_limited */
  async refuseDuringBackoff(account: string): Promise<void> {
    if (!this.options.enabled) return;
    const waiting = await this.backoff.get(fold(account));
    if (waiting && waiting.remainingPoints <= 0 && waiting.msBeforeNext > 0)
      throw tooMany(waiting.msBeforeNext);
  }

  /** Notes a failed try: after some, the account has to wait, each time twice as long as before. */
  async noteFailure(account: string): Promise<void> {
    if (!this.options.enabled) return;
    const { consumedPoints } = await this.failures.consume(fold(account));
    const beyond = consumedPoints - FREE_FAILURES;
    if (beyond < 0) return;
    await this.backoff.block(fold(account), Math.min(2 ** beyond, LONGEST_BACKOFF));
  }

  /** Forgets the failures of an account: its owner is there. */
  async forgetFailures(account: string): Promise<void> {
    if (!this.options.enabled) return;
    await Promise.all([this.failures.delete(fold(account)), this.backoff.delete(fold(account))]);
  }

  async close(): Promise<void> {
    await this.redis?.quit().catch(() => this.redis?.disconnect());
  }

  private limiter(options: IRateLimiterOptions): RateLimiterAbstract {
    const memory = new RateLimiterMemory(options);
    if (!this.redis) return memory;
    // While Redis is away every node counts for itself, which is better than not at all.
    return new RateLimiterRedis({ ...options, storeClient: this.redis, insuranceLimiter: memory });
  }
}

async function consume(limiter: RateLimiterAbstract, key: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (refused) {
    if (refused instanceof RateLimiterRes) throw tooMany(refused.msBeforeNext);
    throw refused;
  }
}

/** Accounts are named as people type them. */
function fold(account: string): string {
  return account.normalize('NFKC').toLowerCase();
}

function tooMany(milliseconds: number): AppError {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
  return new AppError('rate_limited', `Too many tries. Try again in ${seconds} s.`, undefined, seconds);
}
