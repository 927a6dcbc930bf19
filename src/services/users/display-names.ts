import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { AppError } from '../../utils/errors';
import { canonicalName, lookalikesOf, shownLookalikesOf } from '../../utils/name-keys';

const ID_ONLY = { projection: { _id: 1 } } as const;

/**
 * Refuses a display name that looks like the username or the display name of another account without being equal to it:
 * users may share a name, but must not imitate another.
 * @param owner the account that wants the name; undefined for a new account.
 * @throws AppError display_name_taken
 */
export async function refuseImitation(
  { users }: Collections,
  displayName: string,
  owner?: ObjectId,
): Promise<void> {
  const key = canonicalName(displayName);
  const others = owner && { _id: { $ne: owner } };
  const imitated =
    (await users.findOne(
      { displayLookalikes: { $in: shownLookalikesOf(displayName) }, displayKey: { $ne: key }, ...others },
      ID_ONLY,
    )) ??
    (await users.findOne(
      { nameLookalikes: { $in: lookalikesOf(displayName) }, searchName: { $ne: key }, ...others },
      ID_ONLY,
    ));
  if (imitated) {
    throw new AppError('display_name_taken', 'This display name looks like the name of another account.');
  }
}
