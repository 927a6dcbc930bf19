import { ObjectId, type Collection, type Filter } from 'mongodb';
import type { PageQuery } from '../../models/kernel/common.model';
import type { UserDocument } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import type { UserService } from '../user.service';

/**
 * Returns a page of rows that belong to users (members, bans, requests), in the order of their creation, each with its
 * user. Rows without an account are skipped, and the page is filled with others.
 * @param which the filter; it needs an index that ends with `_id`.
 * @param keep returns the rows that are shown; by default all.
 */
export async function pageOfUsers<Row extends { _id: ObjectId; userId: ObjectId }, Item>(
  users: UserService,
  collection: Collection<Row>,
  which: Filter<Row>,
  { cursor, limit }: PageQuery,
  show: (row: Row, user: UserDocument) => Item,
  keep: (rows: Row[]) => Promise<Row[]> = (rows) => Promise.resolve(rows),
): Promise<Page<Item>> {
  const found: { row: Row; user: UserDocument }[] = [];
  let last = cursor === undefined ? undefined : new ObjectId(cursor);
  while (found.length <= limit) {
    const after = last ? { _id: { $gt: last } } : {};
    const rows = (await collection
      .find({ ...which, ...after } as Filter<Row>)
      .sort({ _id: 1 })
      .limit(limit + 1)
      .toArray()) as Row[];
    const kept = await keep(rows);
    const accounts = await users.findByIds(kept.map(({ userId }) => userId));
    for (const row of kept) {
      const user = accounts.get(row.userId.toHexString());
      if (user) found.push({ row, user });
    }
    if (rows.length <= limit) break;
    last = rows.at(-1)!._id;
  }
  const page = cutPage(found.slice(0, limit + 1), limit, ({ row }) => row._id.toHexString());
  return { items: page.items.map(({ row, user }) => show(row, user)), nextCursor: page.nextCursor };
}
