import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toSession,
  type Caller,
  type Origin,
  type RefreshInput,
  type RevocationReason,
  type Session,
  type SessionDocument,
  type SessionsQuery,
} from '../../models/identity/session.model';
import { afterTimeCursor, encodeTimeCursor } from '../../models/kernel/time-cursor.model';
import { toUser, type Credentials, type UserDocument } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError, invalidCredentials } from '../../utils/errors';
import type { AuditService } from '../audit/audit.service';
import type { EventBus } from '../kernel/event-bus';
import type { MaintenanceService } from '../operations/maintenance.service';
import type { PendingChanges } from './pending-changes';
import type { RefreshGrace } from './refresh-grace';
import type { SessionCache } from './session-cache';
import type { TokenHolder, TokenService } from './token.service';

/** How often the last use of a session is stored. */
const LAST_SEEN_INTERVAL_MS = 5 * 60_000;
const MAX_USER_AGENT_LENGTH = 256;

/** A caller, and when their access token expires. */
export interface Authenticated {
  caller: Caller;
  tokenExpiresAt: Date;
}

/** The dependencies of SessionService. */
export interface SessionServiceDeps {
  collections: Collections;
  transactions: Transactions;
  bus: EventBus;
  tokens: TokenService;
  audit: AuditService;
  maintenance: MaintenanceService;
  cache: SessionCache;
  grace: RefreshGrace;
  pending: PendingChanges;
  refreshTokenSeconds: number;
  /** Returns the time that decides about refresh tokens. */
  clock: () => Date;
}

/** Opens, refreshes, authenticates and revokes sessions. A session is one log-in on one device. */
export class SessionService {
  constructor(private readonly deps: SessionServiceDeps) {}

  /**
   * Opens a session for a user who has proved who they are.
   * @param user the document as it was at that moment.
   * @throws AppError invalid_credentials when the password or the state of the account has changed since then
   */
  async open(user: UserDocument, origin: Origin): Promise<Credentials> {
    const now = new Date();
    const _id = new ObjectId();
    const refresh = this.deps.tokens.createRefreshToken(_id);
    await this.deps.collections.sessions.insertOne({
      _id,
      userId: user._id,
      refreshTokenHash: refresh.hash,
      address: origin.address,
      userAgent: origin.userAgent.slice(0, MAX_USER_AGENT_LENGTH),
      createdAt: now,
      lastSeenAt: now,
      expiresAt: this.sessionExpiry(now),
      revokedAt: null,
    });
    // A change of the account ends its sessions. This one may have been missing then, so it checks the account itself.
    const { passwordHash } = user;
    const isValid =
      passwordHash !== undefined &&
      (await this.deps.collections.users.findOne({ _id: user._id, passwordHash, state: 'active' }));
    if (!isValid) {
      await this.revoke({ _id }, 'revoked');
      throw invalidCredentials();
    }
    return this.credentials(user, _id, refresh.token);
  }

  /**
   * Exchanges a refresh token for a new pair of tokens; the old one is spent. If it is presented again within the reuse
   * interval, while its successor is unused, it yields the same successor. Any other second use means that the token was
   * stolen, so the session ends for everybody who holds it.
   * @throws AppError refresh_token_invalid, refresh_token_reused, maintenance (the token remains valid)
   */
  async refresh({ refreshToken }: RefreshInput, origin: Origin): Promise<Credentials> {
    const presented = this.deps.tokens.readRefreshToken(refreshToken);
    if (!presented) throw invalidRefreshToken();
    const { sessionId: _id, hash } = presented;
    if (this.deps.maintenance.enabled) await this.admitOwner(_id);
    const next = this.deps.tokens.createRefreshToken(_id);
    const now = this.deps.clock();
    const open = { _id, revokedAt: null, expiresAt: { $gt: now } };
    const exchanged = await this.deps.collections.sessions.findOneAndUpdate(
      { ...open, refreshTokenHash: hash },
      {
        $set: {
          refreshTokenHash: next.hash,
          spentToken: this.deps.grace.spend(refreshToken, next.token, now),
          lastSeenAt: now,
          address: origin.address,
          expiresAt: this.sessionExpiry(now),
        },
      },
    );
    const session = exchanged ?? (await this.deps.collections.sessions.findOne(open));
    const token = exchanged ? next.token : session && this.deps.grace.successorOf(refreshToken, session, now);
    if (!session || !token) throw await this.refuseRefresh(_id, hash, origin);
    const user = await this.deps.collections.users.findOne({ _id: session.userId });
    if (user?.state !== 'active') throw invalidRefreshToken();
    // The session was extended; the cache has the old end.
    this.deps.cache.invalidate(_id);
    return this.credentials(user, _id, token);
  }

  /**
   * Returns the caller who holds an access token.
   * @throws AppError token_expired, token_invalid, session_revoked
   */
  async authenticate(accessToken: string, address: string): Promise<Authenticated> {
    const { expiresAt: tokenExpiresAt, ...claimed } = this.deps.tokens.verifyAccessToken(accessToken);
    const { session, role } = await this.requireSession(claimed);
    await this.recordUse(session, new Date());
    return { caller: { ...claimed, role, address }, tokenExpiresAt };
  }

  /** Returns a caller who was authenticated before, with their current role. @throws AppError session_revoked */
  async reauthenticate(caller: Omit<Caller, 'role'>): Promise<Caller> {
    const { role } = await this.requireSession(caller);
    return { ...caller, role };
  }

  /**
   * Does the same as `reauthenticate` at once, without a promise; undefined if the session or the role is not in memory.
   */
  recall(caller: Caller): Caller | undefined {
    const session = this.deps.cache.recallSession(caller.sessionId);
    const role = this.deps.cache.recallRole(caller.userId);
    if (!session?.userId.equals(caller.userId) || role === undefined) return undefined;
    return role === caller.role ? caller : { ...caller, role };
  }

  /** Returns when the newest access token of a session expires; undefined if the session has ended. */
  async latestTokenExpiry(sessionId: ObjectId): Promise<Date | undefined> {
    const session = await this.deps.collections.sessions.findOne({ _id: sessionId, revokedAt: null });
    if (!session) return undefined;
    // Each new pair of tokens extends the session.
    const issuedAt = Math.min(session.expiresAt.getTime() - this.deps.refreshTokenSeconds * 1000, Date.now());
    return new Date(issuedAt + this.deps.tokens.accessTokenSeconds * 1000);
  }

  /** Lists the caller's sessions, the most recently used first. */
  async list(caller: Caller, { cursor, limit }: SessionsQuery): Promise<Page<Session>> {
    const rows = await this.deps.collections.sessions
      .find({
        userId: caller.userId,
        revokedAt: null,
        expiresAt: { $gt: new Date() },
        ...(cursor && afterTimeCursor('lastSeenAt', cursor)),
      })
      .sort({ lastSeenAt: -1, _id: -1 })
      .limit(limit + 1)
      .toArray();
    const page = cutPage(rows, limit, ({ lastSeenAt, _id }) => encodeTimeCursor({ at: lastSeenAt, _id }));
    return {
      items: page.items.map((session) => toSession(session, caller)),
      nextCursor: page.nextCursor,
    };
  }

  /** Ends one of the caller's sessions. @throws AppError not_found */
  async revokeOwn(caller: Caller, sessionId: string, reason: RevocationReason): Promise<void> {
    const revoked = await this.revoke({ _id: new ObjectId(sessionId), userId: caller.userId }, reason);
    if (!revoked) throw new AppError('not_found', 'There is no such session.');
  }

  /**
   * Ends all sessions of a user and withdraws unconfirmed changes of the credentials. When it resolves, the tokens of all
   * sessions are refused and their sockets closed, including those of sessions that were opened while it ran.
   */
  async revokeAll(userId: ObjectId, reason: RevocationReason): Promise<void> {
    await this.deps.transactions.run(async () => {
      await this.deps.pending.withdraw(userId);
      await this.revokeOpen(userId, reason);
      // A transaction does not see sessions that were opened while it ran.
      await this.deps.transactions.afterCommit(() => this.revokeOpen(userId, reason));
    });
  }

  private async revokeOpen(userId: ObjectId, reason: RevocationReason): Promise<void> {
    for (;;) {
      const open = await this.deps.collections.sessions.find({ userId, revokedAt: null }).toArray();
      if (open.length === 0) return;
      await Promise.all(open.map(({ _id }) => this.revoke({ _id }, reason)));
    }
  }

  private async revoke(
    filter: { _id: ObjectId; userId?: ObjectId },
    reason: RevocationReason,
  ): Promise<boolean> {
    const session = await this.deps.collections.sessions.findOneAndUpdate(
      { ...filter, revokedAt: null },
      { $set: { revokedAt: new Date() } },
    );
    if (!session) return false;
    await this.deps.bus.publish({
      type: 'session.revoked',
      sessionId: session._id,
      userId: session.userId,
      reason,
    });
    return true;
  }

  private async requireSession({ sessionId, userId }: Pick<TokenHolder, 'sessionId' | 'userId'>) {
    const [session, role] = await Promise.all([
      this.deps.cache.findSession(sessionId),
      this.deps.cache.findRole(userId),
    ]);
    if (!session || !role || !session.userId.equals(userId)) {
      throw new AppError('session_revoked', 'The session has ended.');
    }
    return { session, role };
  }

  private async recordUse(session: SessionDocument, now: Date): Promise<void> {
    if (now.getTime() - session.lastSeenAt.getTime() < LAST_SEEN_INTERVAL_MS) return;
    session.lastSeenAt = now;
    await this.deps.collections.sessions.updateOne({ _id: session._id }, { $set: { lastSeenAt: now } });
  }

  private credentials(user: UserDocument, sessionId: ObjectId, refreshToken: string): Credentials {
    const accessToken = this.deps.tokens.signAccessToken({ userId: user._id, sessionId, role: user.role });
    return { user: toUser(user), accessToken, refreshToken };
  }

  private sessionExpiry(now: Date): Date {
    return new Date(now.getTime() + this.deps.refreshTokenSeconds * 1000);
  }

  /** Refuses the owner of a session during maintenance, unless they are a super admin. @throws AppError maintenance */
  private async admitOwner(sessionId: ObjectId): Promise<void> {
    const session = await this.deps.collections.sessions.findOne({ _id: sessionId });
    const owner = session && (await this.deps.collections.users.findOne({ _id: session.userId }));
    this.deps.maintenance.admit(owner ?? undefined);
  }

  private async refuseRefresh(sessionId: ObjectId, hash: string, origin: Origin): Promise<AppError> {
    const session = await this.deps.collections.sessions.findOne({ _id: sessionId });
    const isReuse = session?.revokedAt === null && session.refreshTokenHash !== hash;
    if (!isReuse || !(await this.revoke({ _id: sessionId }, 'token_reused'))) return invalidRefreshToken();
    await this.deps.audit.record({
      action: 'session.token_reused',
      actorId: null,
      targetId: session.userId,
      address: origin.address,
      details: { sessionId: sessionId.toHexString() },
    });
    return new AppError(
      'refresh_token_reused',
      'This refresh token was already used; its session has ended.',
    );
  }
}

function invalidRefreshToken(): AppError {
  return new AppError('refresh_token_invalid', 'The refresh token is not valid.');
}
