import type { Collection, Filter, ObjectId, Sort } from 'mongodb';
import { CASE_INSENSITIVE } from '../db/indexes';
import { encodePrefixCursor, type PrefixCursor } from '../models/prefix-cursor.model';
import { cutPage, type Page } from '../utils/cursor';

interface PrefixQuery {
  prefix: string;
  cursor?: PrefixCursor | undefined;
  limit: number;
}

/**
 * A page of the documents of which a field begins with a text, in the order of that field, both without regard to
 * case. It takes an index of the field under CASE_INSENSITIVE; when two documents may have the same value, one
 * that goes on with `_id`.
 * @param unique whether no two documents have the same value.
 * @param more what else must hold of them.
 * @param folded whether the field, like the prefix, is in lower case, so that its index is one without collation.
 */
export async function pageByPrefix<Schema extends { _id: ObjectId }>(
  collection: Collection<Schema>,
  field: keyof Schema & string,
  { prefix, cursor, limit }: PrefixQuery,
  { unique, more, folded = false }: { unique: boolean; more: Filter<Schema>; folded?: boolean },
): Promise<Page<Schema>> {
  const sort: Sort = unique ? { [field]: 1 } : { [field]: 1, _id: 1 };
  const find = (condition: object, count: number) =>
    collection
      .find({ ...more, ...condition }, folded ? {} : { collation: CASE_INSENSITIVE })
      .sort(sort)
      .limit(count)
      .toArray() as Promise<Schema[]>;
  // Those of the value at which the page before has ended come first: two queries, each of them one range.
  const equal =
    cursor && !unique ? await find({ [field]: cursor.value, _id: { $gt: cursor._id } }, limit + 1) : [];
  // The greatest character ends the range: every value that begins with the prefix is below it.
  const range = { ...(cursor ? { $gt: cursor.value } : { $gte: prefix }), $lt: `${prefix}\uffff` };
  const rest = equal.length > limit ? [] : await find({ [field]: range }, limit + 1 - equal.length);
  return cutPage([...equal, ...rest], limit, (last) =>
    encodePrefixCursor({ value: String(last[field]), _id: last._id }),
  );
}
