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

/** What AuthService works with. */
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

/** Registering and logging in. */
export class AuthService {
  constructor(private readonly deps: AuthServiceDeps) {}

  /**
   * Makes an account and logs it in. The first account of an installation becomes super admin.
   * @throws AppError username_taken, display_name_taken, email_taken (without a mail server), account_banned (the
   *   owner of the address is), password_too_common, rate_limited, unavailable
   */
  async register(input: RegisterInput, origin: Origin): Promise<Credentials> {
    const user = await this.createAccount(input, origin);
    await this.deps.throttle.recordSuccess(user.username, origin.address);
    this.deps.emails.startVerification(user);
    return this.deps.sessions.open(user, origin);
  }

  /**
   * Makes an account without logging it in.
   * @param origin who asks for it.
   * @param role what it becomes unless it is the first account.
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
    // The unique index refuses the name in any case; before it is asked, a display name would be refused in its place.
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
   * @throws AppError invalid_credentials (the same for an unknown user and a wrong password), totp_required,
   *   totp_invalid, account_suspended, account_banned, rate_limited, unavailable, maintenance (to all but super
   *   admins)
   */
  async login(input: LoginInput, origin: Origin): Promise<Credentials> {
    const user = await this.deps.throttle.attempt(identifierKey(input.identifier), origin.address, () =>
      this.proveIdentity(input, origin),
    );
    // What asks for the password again goes by the username.
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

  /** By the exact name: an account that looks like another one logs in as itself. */
  private findByIdentifier(identifier: string): Promise<UserDocument | null> {
    const key = identifierKey(identifier);
    const { users } = this.deps.collections;
    return identifier.includes('@') ? users.findOne({ emailKey: key }) : users.findOne({ searchName: key });
  }

  /**
   * Hashes the password of a user anew if another cost is configured than it was hashed at: nobody but its owner
   * has it to do so. Another log-in may have done so, or the password have been changed, since it was compared.
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

  /** Lets a user in whose account is active, or becomes it by this log-in. */
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
      // Whoever has been suspended again since they were read stays it.
      { _id: user._id, state: user.state, suspension },
      { $set: { state: 'active', suspension: null, updatedAt: new Date() } },
      { returnDocument: 'after' },
    );
    if (!active) throw invalidCredentials();
    await this.deps.bus.publish({ type: 'user.changed', userId: user._id });
    return active;
  }

  /** Inserts a user; the very first one as super admin, exactly one even if many register at once. */
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
 * What a username or an address is looked up by. The throttle counts by it, too: an account that can be written in
 * many ways is one account.
 */
function identifierKey(identifier: string): string {
  return identifier.includes('@') ? emailKey(identifier) : canonicalName(identifier);
}

function usernameTaken(exactly: boolean): AppError {
  const message = exactly ? 'This username is taken.' : 'This username looks like one that is taken.';
  return new AppError('username_taken', message);
}
