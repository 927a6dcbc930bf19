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

/** The failures at one account without a wait, and for how long failures are counted. */
const FREE_FAILURES = 5;
const FAILURE_MEMORY_SECONDS = 3600;
/** The wait doubles with each further failure, from one second up to this limit. */
const MAX_BACKOFF_SECONDS = 60;

/** For how long a network from which the owner of an account has logged in counts as known. */
const KNOWN_NETWORK_SECONDS = 14 * 24 * 3600;

/** The errors of an attempt with wrong credentials. */
const WRONG_CREDENTIALS: readonly ErrorCode[] = ['invalid_credentials', 'password_wrong', 'totp_invalid'];

/** The most attempts at one account that wait for a running one. */
const MAX_WAITING_ATTEMPTS = 50;

/** The most mails to one account per hour. */
const MAILS_PER_HOUR = 5;

/** How often one user may notify another per hour. */
const CONTACTS_PER_HOUR = 20;

/** How many calls one user may start, with invitations to calls, and how often they may call the same user. */
const CALLS_PER_USER = 30;
const CALLS_PER_PAIR = 10;
const CALL_WINDOW_SECONDS = 600;

/** The least time between two quality reports of a user in a call. */
const QUALITY_REPORT_SECONDS = 2;

/** Limits floods of requests and guesses of credentials. With Redis, all nodes share the counts. */
export class ThrottleService {
  private readonly addresses: Record<ThrottleName, RateLimiterAbstract>;
  private readonly failures: RateLimiterAbstract;
  private readonly backoff: RateLimiterAbstract;
  private readonly knownNetworks: RateLimiterAbstract;
  private readonly mails: RateLimiterAbstract;
  private readonly contacts: RateLimiterAbstract;
  private readonly calls: RateLimiterAbstract;
  private readonly callsOfPair: RateLimiterAbstract;
  private readonly qualityReports: RateLimiterAbstract;
  /** The running and waiting attempts at each account: how many, and the end of the last one. */
  private readonly attempts = new Map<string, { count: number; last: Promise<unknown> }>();

  /**
   * @param enabled false turns all limits off.
   * @param redis stores the counts that nodes share; undefined if there is one node.
   * @param installation identifies the nodes of one installation: others may use the same Redis server.
   */
  constructor(
    private readonly enabled: boolean,
    private readonly redis: Redis | undefined,
    private readonly installation: string,
  ) {
    const byAddress = (name: ThrottleName) => {
      const { calls, seconds } = THROTTLES[name];
      return this.limiter({ keyPrefix: name, points: calls, duration: seconds });
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
      keyPrefix: 'failures',
      points: Number.MAX_SAFE_INTEGER,
      duration: FAILURE_MEMORY_SECONDS,
    });
    this.backoff = this.limiter({ keyPrefix: 'backoff', points: 1, duration: 1 });
    this.knownNetworks = this.limiter({
      keyPrefix: 'known',
      points: 1,
      duration: KNOWN_NETWORK_SECONDS,
    });
    this.mails = this.limiter({ keyPrefix: 'mails', points: MAILS_PER_HOUR, duration: 3600 });
    this.contacts = this.limiter({
      keyPrefix: 'contacts',
      points: CONTACTS_PER_HOUR,
      duration: 3600,
    });
    const callWindow = { duration: CALL_WINDOW_SECONDS };
    this.calls = this.limiter({ keyPrefix: 'calls', points: CALLS_PER_USER, ...callWindow });
    this.callsOfPair = this.limiter({
      keyPrefix: 'calls_of_pair',
      points: CALLS_PER_PAIR,
      ...callWindow,
    });
    this.qualityReports = this.limiter({
      keyPrefix: 'quality_reports',
      points: 1,
      duration: QUALITY_REPORT_SECONDS,
    });
  }

  /** Counts a call from an address. @throws AppError rate_limited */
  async countCall({ name }: Throttle, address: string): Promise<void> {
    if (this.enabled) await consume(this.addresses[name], networkOf(address));
  }

  /** Counts a mail to an account. @returns false if there were too many. */
  countMail(account: string): Promise<boolean> {
    return this.isWithinLimit(this.mails, fold(account));
  }

  /**
   * Counts a notification of one user to another. @returns false if there were too many.
   * @param actorId, userId ids in hexadecimal digits.
   */
  countContact(actorId: string, userId: string): Promise<boolean> {
    return this.isWithinLimit(this.contacts, contactKey(actorId, userId));
  }

  /**
   * Refuses a user who has notified another too often. It does not count.
   * @throws AppError rate_limited
   */
  async requireMayContact(actorId: string, userId: string): Promise<void> {
    if (!this.enabled) return;
    const count = await this.contacts.get(contactKey(actorId, userId));
    if (count && count.remainingPoints <= 0) throw tooMany(count.msBeforeNext);
  }

  /**
   * Counts a video call of a user to others, or to nobody in particular.
   * @param callerId, calledIds ids in hexadecimal digits.
   * @throws AppError rate_limited
   */
  async countVideoCall(callerId: string, calledIds: readonly string[]): Promise<void> {
    if (!this.enabled) return;
    await consume(this.calls, callerId);
    await Promise.all(calledIds.map((id) => consume(this.callsOfPair, contactKey(callerId, id))));
  }

  /**
   * Counts a report of a user about the quality of a call.
   * @param callId, userId ids in hexadecimal digits.
   * @throws AppError rate_limited
   */
  async countQualityReport(callId: string, userId: string): Promise<void> {
    if (this.enabled) await consume(this.qualityReports, `${callId} ${userId}`);
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
   * Runs an attempt to prove the ownership of an account. Each network from which the owner has logged in is counted
   * separately, so that failures elsewhere cannot lock the owner out; all other networks are counted together. Attempts that
   * are counted together run one after the other: otherwise many could start before the first one fails.
   * @param address the address from which the attempt comes.
   * @throws AppError rate_limited during the wait after failures, or when too many attempts wait; the errors of `prove`.
   */
  async attempt<Result>(account: string, address: string, prove: () => Promise<Result>): Promise<Result> {
    if (!this.enabled) return prove();
    const ownNetwork = networkKey(account, address);
    const key = (await this.knownNetworks.get(ownNetwork)) ? ownNetwork : `any ${fold(account)}`;
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

  /** Runs the attempts of a key one after the other. @throws AppError rate_limited when too many wait */
  private async serialised<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const attempts = this.attempts.get(key) ?? { count: 0, last: Promise.resolve() };
    if (attempts.count > MAX_WAITING_ATTEMPTS) throw tooMany(1000);
    this.attempts.set(key, attempts);
    attempts.count++;
    const result = attempts.last.then(work);
    attempts.last = result.catch(() => undefined);
    try {
      return await result;
    } finally {
      attempts.count--;
      if (attempts.count === 0) this.attempts.delete(key);
    }
  }

  private async refuseDuringBackoff(key: string): Promise<void> {
    const waiting = await this.backoff.get(key);
    if (waiting && waiting.remainingPoints <= 0 && waiting.msBeforeNext > 0)
      throw tooMany(waiting.msBeforeNext);
  }

  /** Counts a failed attempt. After some failures there is a wait, which doubles with each further failure. */
  private async recordFailure(key: string): Promise<void> {
    const { consumedPoints } = await this.failures.consume(key);
    const beyond = consumedPoints - FREE_FAILURES;
    if (beyond < 0) return;
    await this.backoff.block(key, Math.min(2 ** beyond, MAX_BACKOFF_SECONDS));
  }

  /** Records that the owner of an account has logged in from an address: failures from there are cleared. */
  async recordSuccess(account: string, address: string): Promise<void> {
    if (!this.enabled) return;
    const ownNetwork = networkKey(account, address);
    await Promise.all([
      this.failures.delete(ownNetwork),
      this.backoff.delete(ownNetwork),
      this.knownNetworks.set(ownNetwork, 1, KNOWN_NETWORK_SECONDS),
    ]);
  }

  /** @param limit `keyPrefix` is its name, which no other limit has. */
  private limiter(limit: IRateLimiterOptions & { keyPrefix: string }): RateLimiterAbstract {
    const options = { ...limit, keyPrefix: `parley:${this.installation}:throttle:${limit.keyPrefix}` };
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

/** Returns the key of an account and a network. A network contains no spaces, so the key is unique for any name. */
function networkKey(account: string, address: string): string {
  return `at ${networkOf(address)} ${fold(account)}`;
}

function contactKey(actorId: string, userId: string): string {
  return `${actorId} ${userId}`;
}

/** Normalises the name of an account as typed by a user. */
function fold(account: string): string {
  return account.normalize('NFKC').toLowerCase();
}

function tooMany(milliseconds: number): AppError {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
  return new AppError('rate_limited', `Too many attempts. Try again in ${seconds} s.`, undefined, seconds);
}
