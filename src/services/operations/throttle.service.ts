import type { Redis } from 'ioredis';
import {
  RateLimiterMemory,
  RateLimiterRedis,
  RateLimiterRes,
  type IRateLimiterOptions,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible';
import { THROTTLES, type Throttle, type ThrottleName } from '../../models/operations/throttle.model';
import { AppError, type ErrorCode } from '../../utils/errors';
import { networkOf } from '../../utils/network';

/** Failures at one account that cost nothing, and how long they are remembered, in seconds. */
const FREE_FAILURES = 5;
const FAILURE_MEMORY_SECONDS = 3600;
/** The wait doubles with each further failure, from one second to this many. */
const MAX_BACKOFF_SECONDS = 60;

/** How long it is remembered from which network the owner of an account has come, in seconds. */
const KNOWN_NETWORK_SECONDS = 14 * 24 * 3600;

/** What a try ends with that was a wrong guess. */
const WRONG_CREDENTIALS: readonly ErrorCode[] = ['invalid_credentials', 'password_wrong', 'totp_invalid'];

/** Tries at one account that wait for the one under way. */
const MAX_WAITING_ATTEMPTS = 50;

/** Mails to one account in an hour. */
const MAILS_PER_HOUR = 5;

/** How often one person may notify one other person of what they do to them, in an hour. */
const CONTACTS_PER_HOUR = 20;

/** Slows down whoever floods or guesses. Counts are shared by all nodes when there is a Redis server. */
export class ThrottleService {
  private readonly addresses: Record<ThrottleName, RateLimiterAbstract>;
  private readonly failures: RateLimiterAbstract;
  private readonly backoff: RateLimiterAbstract;
  private readonly knownNetworks: RateLimiterAbstract;
  private readonly mails: RateLimiterAbstract;
  private readonly contacts: RateLimiterAbstract;
  /** The tries under way and waiting at each account: how many, and the end of the last one. */
  private readonly attempts = new Map<string, { count: number; last: Promise<unknown> }>();

  /**
   * @param enabled false lets everybody pass.
   * @param redis where nodes share their counts; undefined where there is one node.
   */
  constructor(
    private readonly enabled: boolean,
    private readonly redis: Redis | undefined,
  ) {
    const byAddress = (name: ThrottleName) => {
      const { calls, seconds } = THROTTLES[name];
      return this.limiter({ keyPrefix: `throttle:${name}`, points: calls, duration: seconds });
    };
    this.addresses = {
      login: byAddress('login'),
      register: byAddress('register'),
      refresh: byAddress('refresh'),
      reset: byAddress('reset'),
      upload: byAddress('upload'),
      connect: byAddress('connect'),
    };
    this.failures = this.limiter({
      keyPrefix: 'throttle:failures',
      points: Number.MAX_SAFE_INTEGER,
      duration: FAILURE_MEMORY_SECONDS,
    });
    this.backoff = this.limiter({ keyPrefix: 'throttle:backoff', points: 1, duration: 1 });
    this.knownNetworks = this.limiter({
      keyPrefix: 'throttle:known',
      points: 1,
      duration: KNOWN_NETWORK_SECONDS,
    });
    this.mails = this.limiter({ keyPrefix: 'throttle:mails', points: MAILS_PER_HOUR, duration: 3600 });
    this.contacts = this.limiter({
      keyPrefix: 'throttle:contacts',
      points: CONTACTS_PER_HOUR,
      duration: 3600,
    });
  }

  /** Counts a call of an address. @throws AppError rate_limited */
  async countCall({ name }: Throttle, address: string): Promise<void> {
    if (this.enabled) await consume(this.addresses[name], networkOf(address));
  }

  /** Counts a mail to an account. @returns false when it has had too many. */
  countMail(account: string): Promise<boolean> {
    return this.isWithinLimit(this.mails, fold(account));
  }

  /**
   * Counts that one person notifies another of something. @returns false when they have done so too often.
   * @param actorId, userId ids in hexadecimal digits.
   */
  countContact(actorId: string, userId: string): Promise<boolean> {
    return this.isWithinLimit(this.contacts, contactKey(actorId, userId));
  }

  /**
   * Refuses what would be the next time that one person notifies another too often. It counts nothing.
   * @throws AppError rate_limited
   */
  async requireMayContact(actorId: string, userId: string): Promise<void> {
    if (!this.enabled) return;
    const count = await this.contacts.get(contactKey(actorId, userId));
    if (count && count.remainingPoints <= 0) throw tooMany(count.msBeforeNext);
  }

  private async isWithinLimit(limiter: RateLimiterAbstract, key: string): Promise<boolean> {
    if (!this.enabled) return true;
    return consume(limiter, key).then(
      () => true,
      (error: unknown) => {
        if (error instanceof AppError) return false;
        throw error;
      },
    );
  }

  /**
   * Makes a try at proving to be the owner of an account. A network from which the owner has come counts by
   * itself, so that whoever fails elsewhere cannot keep the owner out; all others count together. Tries that
   * count together are made one after the other: many at once would all be under way before the first of them
   * fails.
   * @param address where the try comes from.
   * @throws AppError rate_limited while there is to be a wait after failures, or when too many tries wait already;
   *   what `prove` throws.
   */
  async attempt<Result>(account: string, address: string, prove: () => Promise<Result>): Promise<Result> {
    if (!this.enabled) return prove();
    const home = networkKey(account, address);
    const key = (await this.knownNetworks.get(home)) ? home : `any ${fold(account)}`;
    return this.serialised(key, async () => {
      await this.refuseDuringBackoff(key);
      try {
        const result = await prove();
        await this.recordSuccess(account, address);
        return result;
      } catch (error) {
        if (error instanceof AppError && WRONG_CREDENTIALS.includes(error.code))
          await this.recordFailure(key);
        throw error;
      }
    });
  }

  /** @throws AppError rate_limited when too many tries wait */
  private async serialised<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const tries = this.attempts.get(key) ?? { count: 0, last: Promise.resolve() };
    if (tries.count > MAX_WAITING_ATTEMPTS) throw tooMany(1000);
    this.attempts.set(key, tries);
    tries.count++;
    const result = tries.last.then(work);
    tries.last = result.catch(() => undefined);
    try {
      return await result;
    } finally {
      tries.count--;
      if (tries.count === 0) this.attempts.delete(key);
    }
  }

  private async refuseDuringBackoff(key: string): Promise<void> {
    const waiting = await this.backoff.get(key);
    if (waiting && waiting.remainingPoints <= 0 && waiting.msBeforeNext > 0)
      throw tooMany(waiting.msBeforeNext);
  }

  /** Notes a failed try: after some, the account has to wait, each time twice as long as before. */
  private async recordFailure(key: string): Promise<void> {
    const { consumedPoints } = await this.failures.consume(key);
    const beyond = consumedPoints - FREE_FAILURES;
    if (beyond < 0) return;
    await this.backoff.block(key, Math.min(2 ** beyond, MAX_BACKOFF_SECONDS));
  }

  /** Notes that the owner of an account is at an address: the failures there are forgotten. */
  async recordSuccess(account: string, address: string): Promise<void> {
    if (!this.enabled) return;
    const home = networkKey(account, address);
    await Promise.all([
      this.failures.delete(home),
      this.backoff.delete(home),
      this.knownNetworks.set(home, 1, KNOWN_NETWORK_SECONDS),
    ]);
  }

  private limiter(options: IRateLimiterOptions): RateLimiterAbstract {
    const memory = new RateLimiterMemory(options);
    if (!this.redis) return memory;
    // While Redis cannot be reached, each node counts for itself, which is better than not at all.
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

/** A network has no spaces, so no other account and network have the same key, whatever somebody types as a name. */
function networkKey(account: string, address: string): string {
  return `at ${networkOf(address)} ${fold(account)}`;
}

function contactKey(actorId: string, userId: string): string {
  return `${actorId} ${userId}`;
}

/** Accounts are named as people type them. */
function fold(account: string): string {
  return account.normalize('NFKC').toLowerCase();
}

function tooMany(milliseconds: number): AppError {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
  return new AppError('rate_limited', `Too many tries. Try again in ${seconds} s.`, undefined, seconds);
}
