import { ObjectId } from 'mongodb';
import { z } from 'zod';

/** The end of a page that is sorted by time, latest first, and by descending id among equal times. */
export interface TimeCursor {
  at: Date;
  _id: ObjectId;
}

/** A cursor in a query string: the time in milliseconds and the id. It is opaque to clients. */
export const timeCursor = z
  .string()
  .regex(/^\d{1,15}\.[0-9a-f]{24}$/, 'must be the `nextCursor` of the previous page')
  .transform((text): TimeCursor => {
    const [time = '', id = ''] = text.split('.');
    return { at: new Date(Number(time)), _id: new ObjectId(id) };
  })
  .meta({ description: 'The `nextCursor` of the previous page.' });

export function encodeTimeCursor({ at, _id }: TimeCursor): string {
  return `${at.getTime()}.${_id.toHexString()}`;
}

/**
 * Returns a filter for the documents after a cursor. The bound of the field is a condition of its own, so that an index
 * scan can begin there.
 */
export function afterTimeCursor<Field extends string>(field: Field, { at, _id }: TimeCursor) {
  return { [field]: { $lte: at }, $or: [{ [field]: { $lt: at } }, { _id: { $lt: _id } }] };
}
