import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { Origin } from '../../models/identity/session.model';
import {
  stateOf,
  type Credentials,
  type GlobalRole,
  type LoginInput,
  type RegisterInput,
  type UserDocument,
} from '../../models/user.model';
import { AppError, invalidCredentials } from '../../utils/errors';
import { canonicalName, displayNameKeysOf, emailKey, lookalikesOf } from '../../utils/name-keys';
import { refuseImitation } from '../users/display-names';
import type { EmailService } from './email.service';
import type { EventBus } from '../kernel/event-bus';
import type { MaintenanceService } from '../operations/maintenance.service';
import { refuseCommonPassword, type HashOrigin, type PasswordHasher } from './password';
import type { SessionService } from './session.service';
import type { ThrottleService } from '../operations/throttle.service';
import type { TotpService } from './totp.service';

/** The dependencies of AuthService. */
export interface AuthServiceDeps {
  collections: Collections;
  transactions: Transactions;
  bus: EventBus;
  passwords: PasswordHasher;
  sessions: SessionService;
  totp: TotpService;
  throttle: ThrottleService;
  emails: EmailService;
  maintenance: MaintenanceService;
}

/** Registers users and logs them in. */
export class AuthService {
  constructor(private readonly deps: AuthServiceDeps) {}

  /**
   * Creates an account and logs it in. The first account of an installation becomes super admin.
   * @throws AppError username_taken, display_name_taken, email_taken (without a mail server), account_banned (the owner
   *   of the e-mail address is banned), password_too_common, rate_limited, unavailable
   */
  async register(input: RegisterInput, origin: Origin): Promise<Credentials> {
    const user = await this.createAccount(input, origin);
    await this.deps.throttle.recordSuccess(user.username, origin.address);
    this.deps.emails.startVerification(user);
    return this.deps.sessions.open(user, origin);
  }

  /**
   * Creates an account without logging it in.
   * @param origin where the request comes from.
   * @param role the role of the account, unless it is the first one.
   */
  async createAccount(
    input: RegisterInput,
    origin: HashOrigin,
    role: GlobalRole = 'client',
  ): Promise<UserDocument> {
    refuseCommonPassword(input.password, input.username);
    if ((await this.deps.emails.findOwner(input.email))?.state === 'banned') {
      throw new AppError('account_banned', 'The owner of this e-mail address is banned.');
    }
    const now = new Date();
    const searchName = canonicalName(input.username);
    const nameLookalikes = lookalikesOf(input.username);
    const displayName = input.displayName ?? input.username;
    // The unique index refuses a taken name in any case. This check comes first, since the default display name, which
    // is the username, would otherwise be refused before it.
    const holder = await this.deps.collections.users.findOne(
      { nameLookalikes: { $in: nameLookalikes } },
      SEARCH_NAME_ONLY,
    );
    if (holder) throw usernameTaken(holder.searchName === searchName);
    await refuseImitation(this.deps.collections, displayName);
    const user: UserDocument = {
      _id: new ObjectId(),
      username: input.username,
      searchName,
      nameLookalikes,
      ...this.deps.emails.fieldsForNewAccount(input.email),
      emailVerifiedAt: null,
      displayName,
      ...displayNameKeysOf(displayName),
      bio: '',
      statusText: '',
      timeZone: 'UTC',
      passwordHash: await this.deps.passwords.hash(input.password, origin),
      role,
      state: 'active',
      suspension: null,
      totp: null,
      createdAt: now,
      updatedAt: now,
    };
    try {
      await this.insertUser(user);
    } catch (error) {
      const index = duplicateIndex(error);
      if (index?.startsWith('username_')) throw usernameTaken(index === 'username_key_unique');
      if (index === 'email_key_unique')
        throw new AppError('email_taken', 'This e-mail address has an account.');
      throw error;
    }
    return user;
  }

  /**
   * Logs a user in by username or e-mail address.
   * @throws AppError invalid_credentials (the same for an unknown user and a wrong password), totp_required,
   *   totp_invalid, account_suspended, account_banned, rate_limited, unavailable, maintenance (except for super admins)
   */
  async login(input: LoginInput, origin: Origin): Promise<Credentials> {
    const user = await this.deps.throttle.attempt(identifierKey(input.identifier), origin.address, () =>
      this.proveIdentity(input, origin),
    );
    // Later checks of the password throttle by the username, whatever the log-in was by.
    await this.deps.throttle.recordSuccess(user.username, origin.address);
    this.deps.maintenance.admit(user);
    const admitted = await this.admit(user);
    return this.deps.sessions.open(await this.renewHash(admitted, input.password, origin), origin);
  }

  private async proveIdentity(input: LoginInput, origin: Origin): Promise<UserDocument> {
    const user = await this.findByIdentifier(input.identifier);
    const matches = await this.deps.passwords.matches(input.password, user?.passwordHash, origin);
    if (!user || !matches) throw invalidCredentials();
    await this.deps.totp.check(user, input.code, origin);
    return user;
  }

  /** Finds a user by the exact name, so that of two accounts with similar names each logs in as itself. */
  private findByIdentifier(identifier: string): Promise<UserDocument | null> {
    const key = identifierKey(identifier);
    const { users } = this.deps.collections;
    return identifier.includes('@') ? users.findOne({ emailKey: key }) : users.findOne({ searchName: key });
  }

  /**
   * Hashes the password of a user again if the configured cost has changed: only at a log-in is the password known.
   * Since it was compared, another log-in may have done the same, or the password may have been changed.
   */
  private async renewHash(user: UserDocument, password: string, origin: Origin): Promise<UserDocument> {
    const { _id, passwordHash } = user;
    if (passwordHash === undefined || !this.deps.passwords.isOutdated(passwordHash)) return user;
    const { users } = this.deps.collections;
    const newHash = await this.deps.passwords.hash(password, origin, { continues: true });
    const renewed = await users.findOneAndUpdate(
      { _id, passwordHash },
      { $set: { passwordHash: newHash } },
      { returnDocument: 'after' },
    );
    if (renewed) return renewed;
    const current = await users.findOne({ _id });
    const continues = { continues: true };
    if (!current || !(await this.deps.passwords.matches(password, current.passwordHash, origin, continues))) {
      throw invalidCredentials();
    }
    return current;
  }

  /** Returns the user if the account is active; a log-in reactivates a deactivated account and ends an expired suspension. */
  private async admit(user: UserDocument): Promise<UserDocument> {
    if (user.state === 'active') return user;
    const { suspension, ban } = user;
    if (user.state === 'banned') {
      throw new AppError('account_banned', 'The account is banned.', { reason: ban?.reason ?? '' });
    }
    if (stateOf(user) === 'suspended') {
      throw new AppError('account_suspended', 'The account is suspended.', {
        reason: suspension?.reason ?? '',
        until: suspension?.until?.toISOString() ?? null,
      });
    }
    const active = await this.deps.collections.users.findOneAndUpdate(
      // Only if the user has not been suspended again since the document was read.
      { _id: user._id, state: user.state, suspension },
      { $set: { state: 'active', suspension: null, updatedAt: new Date() } },
      { returnDocument: 'after' },
    );
    if (!active) throw invalidCredentials();
    await this.deps.bus.publish({ type: 'user.changed', userId: user._id });
    return active;
  }

  /** Inserts a user, the first one as super admin: exactly one, even if many register at the same time. */
  private async insertUser(user: UserDocument): Promise<void> {
    const { installation, users } = this.deps.collections;
    if (await installation.findOne({ _id: 'first_account' })) {
      await users.insertOne(user);
      return;
    }
    const { role } = user;
    await this.deps.transactions.run(async () => {
      const claim = await installation.updateOne(
        { _id: 'first_account' },
        { $setOnInsert: { userId: user._id } },
        { upsert: true },
      );
      user.role = claim.upsertedCount === 1 ? 'super_admin' : role;
      await users.insertOne(user);
    });
  }
}

const SEARCH_NAME_ONLY = { projection: { searchName: 1 } } as const;

/**
 * Returns the key by which a username or an e-mail address is looked up. The throttle counts by it as well, so that
 * different spellings count as one account.
 */
function identifierKey(identifier: string): string {
  return identifier.includes('@') ? emailKey(identifier) : canonicalName(identifier);
}

function usernameTaken(exactly: boolean): AppError {
  const message = exactly ? 'This username is taken.' : 'This username looks like one that is taken.';
  return new AppError('username_taken', message);
}
