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
 * Returns a page of the documents whose field begins with a prefix, sorted by that field. Field and prefix are keys of
 * utils/name-keys.ts. An empty prefix, the key of an invisible text, matches nothing. Requires an index on the field,
 * which continues with `_id` if values are not unique.
 * @param unique whether values are unique.
 * @param conditions further conditions for the documents.
 */
export async function pageByPrefix<Schema extends { _id: ObjectId }>(
  collection: Collection<Schema>,
  field: keyof Schema & string,
  { prefix, cursor, limit }: PrefixQuery,
  { unique, conditions }: { unique: boolean; conditions: Filter<Schema> },
): Promise<Page<Schema>> {
  if (prefix === '') return { items: [], nextCursor: null };
  const sort: Sort = unique ? { [field]: 1 } : { [field]: 1, _id: 1 };
  const find = (condition: object, count: number) =>
    collection
      .find({ ...conditions, ...condition })
      .sort(sort)
      .limit(count)
      .toArray() as Promise<Schema[]>;
  // The rest of the value at which the previous page ended comes first. Two queries, so that each reads one index range.
  const equal =
    cursor && !unique ? await find({ [field]: cursor.value, _id: { $gt: cursor._id } }, limit + 1) : [];
  const range = { ...(cursor ? { $gt: cursor.value } : { $gte: prefix }), $lt: endOfPrefix(prefix) };
  const rest = equal.length > limit ? [] : await find({ [field]: range }, limit + 1 - equal.length);
  return cutPage([...equal, ...rest], limit, (last) =>
    encodePrefixCursor({ value: String(last[field]), _id: last._id }),
  );
}
