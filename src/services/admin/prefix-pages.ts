import type { Collection, Filter, ObjectId, Sort } from 'mongodb';
import { encodePrefixCursor, type PrefixCursor } from '../../models/kernel/prefix-cursor.model';
import { cutPage, type Page } from '../../utils/cursor';
import { endOfPrefix } from '../../utils/prefix';

interface PrefixQuery {
  prefix: string;
  cursor?: PrefixCursor | undefined;
  limit: number;
}

/**
 * A page of the documents of which a field begins with a prefix, in the order of that field. The field holds a key of
 * utils/name-keys.ts, of which the prefix is one, too; nothing begins with the empty key of a text that nobody can
 * see. It requires an index of the field; when two documents may have the same value, one that goes on with `_id`.
 * @param unique whether no two documents have the same value.
 * @param more what else must hold of them.
 */
export async function pageByPrefix<Schema extends { _id: ObjectId }>(
  collection: Collection<Schema>,
  field: keyof Schema & string,
  { prefix, cursor, limit }: PrefixQuery,
  { unique, more }: { unique: boolean; more: Filter<Schema> },
): Promise<Page<Schema>> {
  if (prefix === '') return { items: [], nextCursor: null };
  const sort: Sort = unique ? { [field]: 1 } : { [field]: 1, _id: 1 };
  const find = (condition: object, count: number) =>
    collection
      .find({ ...more, ...condition })
      .sort(sort)
      .limit(count)
      .toArray() as Promise<Schema[]>;
  // Those of the value at which the page before has ended come first: two queries, each of them one range.
  const equal =
    cursor && !unique ? await find({ [field]: cursor.value, _id: { $gt: cursor._id } }, limit + 1) : [];
  const range = { ...(cursor ? { $gt: cursor.value } : { $gte: prefix }), $lt: endOfPrefix(prefix) };
  const rest = equal.length > limit ? [] : await find({ [field]: range }, limit + 1 - equal.length);
  return cutPage([...equal, ...rest], limit, (last) =>
    encodePrefixCursor({ value: String(last[field]), _id: last._id }),
  );
}
