import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { lock } from '../../db/transaction';
import { AppError } from '../../utils/errors';

/**
 * Locks the account of the caller until the end of the transaction. Every write of personal data does so: the deletion
 * of the account then includes it, and concurrent writes cannot exceed a limit together.
 * @throws AppError session_revoked when the account is no longer active
 */
export async function lockAccount({ users }: Collections, _id: ObjectId): Promise<void> {
  const account = await lock(users, { _id });
  if (account?.state !== 'active') {
    throw new AppError('session_revoked', 'The account is no longer active.');
  }
}
