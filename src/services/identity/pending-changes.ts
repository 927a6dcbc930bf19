import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';

/**
 * Unconfirmed changes of the credentials of an account. They are withdrawn whenever all sessions of the account end:
 * otherwise an intruder could complete a change after the owner has changed the password.
 */
export class PendingChanges {
  constructor(private readonly collections: Pick<Collections, 'users' | 'oneTimeTokens'>) {}

  /**
   * Withdraws everything: a change of address, a second factor that is not yet enabled, and links to confirm an address
   * or set a password. The address given at registration remains and can be confirmed by a new link. Links that stop a
   * change of address remain valid: they protect the owner (docs/decisions/0034-reversible-email-change.md).
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

  /** Withdraws a change of address, and all links that confirm an address. */
  async withdrawEmailChange(userId: ObjectId): Promise<void> {
    const { users, oneTimeTokens } = this.collections;
    await users.updateOne({ _id: userId }, { $unset: { emailChange: true } });
    await oneTimeTokens.deleteMany({ userId, kind: 'verify_email' });
  }
}
