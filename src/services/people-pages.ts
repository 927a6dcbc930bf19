import { ObjectId, type Collection, type Filter } from 'mongodb';
import type { PageQuery } from '../models/common.model';
import type { UserDocument } from '../models/user.model';
import { cutPage, type Page } from '../utils/cursor';
import type { UserService } from './user.service';

/**
 * A page of what is kept of users in one place (members, bans, requests), in the order in which it came to be, each
 * with its user. Whoever has no account any more is left out.
 * @param which those of the place; it takes an index that goes on with `_id`.
 */
export async function pageOfPeople<Row extends { _id: ObjectId; userId: ObjectId }, Item>(
  users: UserService,
  collection: Collection<Row>,
  which: Filter<Row>,
  { cursor, limit }: PageQuery,
  show: (row: Row, user: UserDocument) => Item,
): Promise<Page<Item>> {
  const behind = cursor === undefined ? {} : { _id: { $gt: new ObjectId(cursor) } };
  const rows = (await collection
    .find({ ...which, ...behind } as Filter<Row>)
    .sort({ _id: 1 })
    .limit(limit + 1)
    .toArray()) as Row[];
  const page = cutPage(rows, limit, ({ _id }) => _id.toHexString());
  const found = await users.byIds(page.items.map(({ userId }) => userId));
  const items = page.items.flatMap((row) => {
    const user = found.get(row.userId.toHexString());
    return user ? [show(row, user)] : [];
  });
  return { items, nextCursor: page.nextCursor };
}
