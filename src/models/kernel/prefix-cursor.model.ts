import { ObjectId } from 'mongodb';
import { z } from 'zod';

/** Where a page has ended that is in the order of a field, and of the id among equal values. */
export interface PrefixCursor {
  value: string;
  _id: ObjectId;
}

/** A cursor in a query string. Opaque: base64url of the value, and the id. */
export const prefixCursor = z
  .string()
  .max(2000)
  .regex(/^[\w-]*\.[0-9a-f]{24}$/, 'must be the nextCursor of a page')
  .transform((text): PrefixCursor => {
    const [value = '', id = ''] = text.split('.');
    return { value: Buffer.from(value, 'base64url').toString('utf8'), _id: new ObjectId(id) };
  })
  .meta({ type: 'string', description: '`nextCursor` of the page before.' });

export function encodePrefixCursor({ value, _id }: PrefixCursor): string {
  return `${Buffer.from(value, 'utf8').toString('base64url')}.${_id.toHexString()}`;
}
