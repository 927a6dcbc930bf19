import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';

/**
 * What somebody has begun to change about how an account is proved, and has yet to confirm. Whoever ends all sessions of
 * an account withdraws it, or it would outlive them: an intruder could finish after the owner has changed the password.
 */
export class PendingChanges {
  constructor(private readonly collections: Pick<Collections, 'users' | 'oneTimeTokens'>) {}

  /**
   * Withdraws everything: a change of address, a second factor that is not yet enabled, and links to confirm an address
   * or set a password. The address given at registration goes on waiting, for a new link. Links that stop a change of
   * address stay: they protect the owner (docs/decisions/0034-reversible-email-change.md).
   */
  async withdraw(userId: ObjectId): Promise<void> {
    const { users, oneTimeTokens } = this.collections;
    await this.withdrawEmailChange(userId);
    await users.updateOne(
      { _id: userId, totp: { $ne: null }, 'totp.enabledAt': null },
      { $set: { totp: null } },
    );
    await oneTimeTokens.deleteMany({ userId, kind: 'reset_password' });
  }

  /** Withdraws a change of address, with all links that confirm an address. */
  async withdrawEmailChange(userId: ObjectId): Promise<void> {
    const { users, oneTimeTokens } = this.collections;
    await users.updateOne({ _id: userId }, { $unset: { emailChange: true } });
    // Where a change was stored before it had a field of its own.
    await users.updateOne(
      { _id: userId, email: { $exists: true }, pendingEmail: { $exists: true } },
      { $unset: { pendingEmail: true } },
    );
    await oneTimeTokens.deleteMany({ userId, kind: 'verify_email' });
  }
}
