import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock } from '../../db/transaction';
import { AppError } from '../../utils/errors';

/**
 * Locks the account of the caller until the end of the transaction, for whoever writes something of theirs: so the end
 * of the account finds it, and two such writes at once cannot both pass a limit.
 * @throws AppError session_revoked when the account is not active any more
 */
export async function lockAccount({ users }: Collections, _id: ObjectId): Promise<void> {
  const account = await lock(users, { _id });
  if (account?.state !== 'active') {
    throw new AppError('session_revoked', 'The account is not active any more.');
  }
}
