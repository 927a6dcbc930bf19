import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock } from '../../db/transaction';
import { AppError } from '../../utils/errors';

/** Sees to it that there is always a super admin who can act. */
export class SuperAdmins {
  constructor(private readonly collections: Collections) {}

  /**
   * To be called in the transaction that takes the role or the account from a user.
   * @throws AppError last_super_admin
   */
  async refuseLast(userId: ObjectId): Promise<void> {
    const user = await this.collections.users.findOne({ _id: userId });
    if (user?.role !== 'super_admin') return;
    // It stands for how many super admins there are: of two who resign at once one has to look again.
    await lock(this.collections.installation, { _id: 'first_account' });
    const other = await this.collections.users.findOne({
      role: 'super_admin',
      state: 'active',
      _id: { $ne: userId },
    });
    if (!other) throw new AppError('last_super_admin', 'This is the last super admin.');
  }
}
