import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock } from '../../db/transaction';
import { AppError } from '../../utils/errors';

/** Ensures that at least one super admin with an active account remains. */
export class SuperAdmins {
  constructor(private readonly collections: Collections) {}

  /**
   * Refuses to remove the last super admin. Call it in the transaction that takes the role or the account from a user.
   * @throws AppError last_super_admin
   */
  async refuseLast(userId: ObjectId): Promise<void> {
    const user = await this.collections.users.findOne({ _id: userId });
    if (user?.role !== 'super_admin') return;
    // Every change of the number of super admins locks this document, so that two who resign at once do not both succeed.
    await lock(this.collections.installation, { _id: 'first_account' });
    const other = await this.collections.users.findOne({
      role: 'super_admin',
      state: 'active',
      _id: { $ne: userId },
    });
    if (!other) throw new AppError('last_super_admin', 'This is the last super admin.');
  }
}
