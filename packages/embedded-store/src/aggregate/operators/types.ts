import { Binary, Double, Int32, Timestamp, Long } from 'bson';
import { encode } from '../../bson/codec';
import { isNumber } from '../../bson/numbers';
import { StoreError } from '../../errors';
import { typeOf } from '../arguments';
import { textScoreOf } from '../metadata';
import { type OperatorTable, fixed, isDocument, isNullish, lazyNode } from '../scope';

const META = new Set([
  'textScore',
  'randVal',
  'searchScore',
  'searchHighlights',
  'geoNearDistance',
  'geoNearPoint',
  'recordId',
  'indexKey',
  'sortKey',
]);

/** Operators about a value's type and size, and about what is not in the document. */
export const TYPES: OperatorTable = {
  $type: fixed(1, ([value]) => typeOf(value)),
  $isNumber: fixed(1, ([value]) => isNumber(value)),
  $binarySize: fixed(1, ([value]) => {
    if (isNullish(value)) return null;
    if (typeof value === 'string') return new Int32(Buffer.byteLength(value));
    if (value instanceof Binary) return new Int32(value.length());
    throw new StoreError(51276, `$binarySize requires a string or BinData argument, found: ${typeOf(value)}`);
  }),
  $bsonSize: fixed(1, ([value]) => {
    if (isNullish(value)) return null;
    if (isDocument(value)) return new Int32(encode(value).length);
    throw new StoreError(31393, `$bsonSize requires a document input, found: ${typeOf(value)}`);
  }),
  $tsSecond: fixed(1, ([value]) => {
    if (isNullish(value)) return null;
    if (value instanceof Timestamp) return Long.fromNumber(value.getHighBitsUnsigned());
    throw new StoreError(5687301, `$tsSecond requires argument of type timestamp, found: ${typeOf(value)}`);
  }),
  $tsIncrement: fixed(1, ([value]) => {
    if (isNullish(value)) return null;
    if (value instanceof Timestamp) return Long.fromNumber(value.getLowBitsUnsigned());
    throw new StoreError(
      5687302,
      `$tsIncrement requires argument of type timestamp, found: ${typeOf(value)}`,
    );
  }),
  $rand: (argument) => {
    const empty =
      (isDocument(argument) && argument.size === 0) || (Array.isArray(argument) && argument.length === 0);
    if (!empty) throw new StoreError(3040501, '$rand does not currently accept arguments');
    return lazyNode(() => new Double(Math.random()));
  },
  $meta: (argument) => {
    if (typeof argument !== 'string') throw new StoreError(17307, '$meta only supports string arguments');
    if (!META.has(argument)) throw new StoreError(17308, `Unsupported argument to $meta: ${argument}`);
    if (argument !== 'textScore') {
      throw new StoreError('CommandNotSupported', `{$meta: '${argument}'} is not supported`);
    }
    return lazyNode(({ root }) => {
      const score = isDocument(root) ? textScoreOf(root) : undefined;
      return score === undefined ? undefined : new Double(score);
    });
  },
};
