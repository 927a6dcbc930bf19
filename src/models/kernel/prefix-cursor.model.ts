import { ObjectId } from 'mongodb';
import { z } from 'zod';

/** The end of a page that is sorted by a field, and by id among equal values. */
export interface PrefixCursor {
  value: string;
  _id: ObjectId;
}

/** A cursor in a query string: the value in base64url and the id. It is opaque to clients. */
export const prefixCursor = z
  .string()
  .max(2000)
  .regex(/^[\w-]*\.[0-9a-f]{24}$/, 'must be the `nextCursor` of the previous page')
  .transform((text): PrefixCursor => {
    const [value = '', id = ''] = text.split('.');
    return { value: Buffer.from(value, 'base64url').toString('utf8'), _id: new ObjectId(id) };
  })
  .meta({ type: 'string', description: 'The `nextCursor` of the previous page.' });

export function encodePrefixCursor({ value, _id }: PrefixCursor): string {
  return `${Buffer.from(value, 'utf8').toString('base64url')}.${_id.toHexString()}`;
}
