import { ObjectId } from 'mongodb';
import { z } from 'zod';

/** Where a page has ended that begins with the latest time, and among equal ones with the greatest id. */
export interface TimeCursor {
  at: Date;
  _id: ObjectId;
}

/** A cursor in a query string. Opaque: the time in milliseconds, and the id. */
export const timeCursor = z
  .string()
  .regex(/^\d{1,15}\.[0-9a-f]{24}$/, 'must be the `nextCursor` of the page before')
  .transform((text): TimeCursor => {
    const [time = '', id = ''] = text.split('.');
    return { at: new Date(Number(time)), _id: new ObjectId(id) };
  })
  .meta({ description: '`nextCursor` of the page before.' });

export function encodeTimeCursor({ at, _id }: TimeCursor): string {
  return `${at.getTime()}.${_id.toHexString()}`;
}

/**
 * The part of a filter that leaves what comes behind a cursor. The bound of the field stands by itself, so that an
 * index begins there.
 */
export function afterTimeCursor<Field extends string>(field: Field, { at, _id }: TimeCursor) {
  return { [field]: { $lte: at }, $or: [{ [field]: { $lt: at } }, { _id: { $lt: _id } }] };
}
