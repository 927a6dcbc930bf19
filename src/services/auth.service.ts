import bcrypt from 'bcrypt';
import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { duplicateIndex } from '../db/mongodb';
import { CASE_INSENSITIVE } from '../db/indexes';
import type { RunTransaction } from '../db/transaction';
import type { Caller, RefreshInput } from '../models/session.model';
import {
  toUser,
  type Credentials,
  type LoginInput,
  type RegisterInput,
  type User,
  type UserDocument,
} from '../models/user.model';
import { AppError } from '../utils/errors';
import type { EventBus } from './event-bus';
import type { TokenService } from './token.service';

export interface AuthOptions {
  bcryptCost: number;
  refreshTokenSeconds: number;
}

/** Accounts and sessions: who somebody is, and how they prove it. */
export class AuthService {
  /** A hash of no known password at the same cost: unknown users take as long to refuse as known ones. */
  private decoyHash: Promise<string> | undefined;

  constructor(
    private readonly collections: Collections,
    private readonly runTransaction: RunTransaction,
    private readonly bus: EventBus,
    private readonly tokens: TokenService,
    private readonly options: AuthOptions,
  ) {}

  /**
   * Makes an account and logs it in. The first account of an installation becomes super admin.
   * @throws AppError username_taken, email_taken
   */
  async register(input: RegisterInput): Promise<Credentials> {
    const now = new Date();
    const user: UserDocument = {
      _id: new ObjectId(),
      username: input.username,
      email: input.email,
      displayName: input.displayName ?? input.username,
      passwordHash: await bcrypt.hash(input.password, this.options.bcryptCost),
      role: 'client',
      createdAt: now,
      updatedAt: now,
    };
    try {
      await this.insertUser(user);
    } catch (error) {
      const index = duplicateIndex(error);
      if (index === 'username_unique') throw new AppError('username_taken', 'This username is taken.');
      if (index === 'email_unique') throw new AppError('email_taken', 'This e-mail address has an account.');
      throw error;
    }
    return this.openSession(user);
  }

  /** @throws AppError invalid_credentials, the same for an unknown user and a wrong password */
  async login(input: LoginInput): Promise<Credentials> {
    const field = input.identifier.includes('@') ? 'email' : 'username';
    const user = await this.collections.users.findOne(
      { [field]: input.identifier },
      { collation: CASE_INSENSITIVE },
    );
    this.decoyHash ??= bcrypt.hash('no password has this hash', this.options.bcryptCost);
    const matches = await bcrypt.compare(input.password, user?.passwordHash ?? (await this.decoyHash));
    if (!user || !matches) {
      throw new AppError('invalid_credentials', 'The name or the password is wrong.');
    }
    return this.openSession(user);
  }

  /**
   * Exchanges a refresh token for a new pair; the old one is spent. A token that comes a second time has been
   * stolen from one of the two who hold it, so its session ends for both.
   * @throws AppError refresh_token_invalid, refresh_token_reused
   */
  async refresh(input: RefreshInput): Promise<Credentials> {
    const presented = this.tokens.readRefreshToken(input.refreshToken);
    if (!presented) throw invalidRefreshToken();
    const next = this.tokens.createRefreshToken(presented.sessionId);
    const now = new Date();
    const session = await this.collections.sessions.findOneAndUpdate(
      {
        _id: presented.sessionId,
        refreshTokenHash: presented.hash,
        revokedAt: null,
        expiresAt: { $gt: now },
      },
      { $set: { refreshTokenHash: next.hash, lastUsedAt: now, expiresAt: this.sessionEnd(now) } },
    );
    if (!session) throw await this.refuseRefresh(presented.sessionId, presented.hash);
    const user = await this.collections.users.findOne({ _id: session.userId });
    if (!user) throw invalidRefreshToken();
    return this.credentials(user, session._id, next.token);
  }

  /** Ends the caller's session: its tokens are refused and its sockets closed when this resolves. */
  async logout(caller: Caller): Promise<void> {
    await this.revokeSession(caller.sessionId);
  }

  async me(caller: Caller): Promise<User> {
    const user = await this.collections.users.findOne({ _id: caller.userId });
    if (!user) throw new AppError('session_revoked', 'The account no longer exists.');
    return toUser(user);
  }

  /**
   * Tells who holds an access token.
   * @throws AppError token_expired, token_invalid, session_revoked
   */
  async authenticate(accessToken: string): Promise<Caller> {
    const claimed = this.tokens.verifyAccessToken(accessToken);
    const [session, user] = await Promise.all([
      this.collections.sessions.findOne({ _id: claimed.sessionId, userId: claimed.userId, revokedAt: null }),
      this.collections.users.findOne({ _id: claimed.userId }, { projection: { role: 1 } }),
    ]);
    if (!session || !user || session.expiresAt <= new Date()) {
      throw new AppError('session_revoked', 'The session has ended.');
    }
    return { ...claimed, role: user.role };
  }

  /** Inserts a user; the very first one as super admin, exactly one even if many register at once. */
  private async insertUser(user: UserDocument): Promise<void> {
    const { installation, users } = this.collections;
    if (await installation.findOne({ _id: 'first_account' })) {
      await users.insertOne(user);
      return;
    }
    await this.runTransaction(async (session) => {
      const claim = await installation.updateOne(
        { _id: 'first_account' },
        { $setOnInsert: { userId: user._id } },
        { upsert: true, ...(session && { session }) },
      );
      user.role = claim.upsertedCount === 1 ? 'super_admin' : 'client';
      await users.insertOne(user, session && { session });
    });
  }

  private async openSession(user: UserDocument): Promise<Credentials> {
    const now = new Date();
    const _id = new ObjectId();
    const refresh = this.tokens.createRefreshToken(_id);
    await this.collections.sessions.insertOne({
      _id,
      userId: user._id,
      refreshTokenHash: refresh.hash,
      createdAt: now,
      lastUsedAt: now,
      expiresAt: this.sessionEnd(now),
      revokedAt: null,
    });
    return this.credentials(user, _id, refresh.token);
  }

  private credentials(user: UserDocument, sessionId: ObjectId, refreshToken: string): Credentials {
    const accessToken = this.tokens.signAccessToken({ userId: user._id, sessionId, role: user.role });
    return { user: toUser(user), accessToken, refreshToken };
  }

  private sessionEnd(now: Date): Date {
    return new Date(now.getTime() + this.options.refreshTokenSeconds * 1000);
  }

  private async refuseRefresh(sessionId: ObjectId, hash: string): Promise<AppError> {
    const session = await this.collections.sessions.findOne({ _id: sessionId });
    const isReuse = session && session.revokedAt === null && session.refreshTokenHash !== hash;
    if (!isReuse) return invalidRefreshToken();
    await this.revokeSession(sessionId);
    return new AppError('refresh_token_reused', 'This refresh token was used before; its session has ended.');
  }

  private async revokeSession(sessionId: ObjectId): Promise<void> {
    const session = await this.collections.sessions.findOneAndUpdate(
      { _id: sessionId, revokedAt: null },
      { $set: { revokedAt: new Date() } },
    );
    if (session) await this.bus.publish({ type: 'session.revoked', sessionId, userId: session.userId });
  }
}

function invalidRefreshToken(): AppError {
  return new AppError('refresh_token_invalid', 'The refresh token is not valid.');
}
