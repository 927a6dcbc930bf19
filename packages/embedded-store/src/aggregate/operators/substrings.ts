import { Decimal128 } from 'bson';
import { isNumber, toNumber } from '../../bson/numbers';
import type { Value } from '../../bson/types';
import { StoreError } from '../../errors';
import { int32, typeOf } from '../arguments';
import { type OperatorTable, fixed } from '../scope';
import { coerceToString } from './strings';

/** $substr (= $substrBytes) and $substrCP. */
export const SUBSTRINGS: OperatorTable = {
  $substr: fixed(3, ([text, from, length]) => substringBytes(text, from, length)),
  $substrBytes: fixed(3, ([text, from, length]) => substringBytes(text, from, length)),
  $substrCP: fixed(3, ([text, from, length]) => {
    const value = coerceToString(text);
    const start = codePointCount(from, 'starting index', 34450);
    const count = codePointCount(length, 'length', 34452);
    if (start < 0) {
      throw new StoreError(34455, '$substrCP: the starting index must be a non-negative integer.');
    }
    if (count < 0) throw new StoreError(34454, '$substrCP: length must be a nonnegative integer.');
    return [...value].slice(start, start + count).join('');
  }),
};

function codePointCount(value: Value | undefined, what: string, code: number): number {
  if (!isNumber(value)) {
    throw new StoreError(code, `$substrCP: ${what} must be a numeric type (is BSON type ${typeOf(value)})`);
  }
  return int32(value, code + 1, `$substrCP: ${what}`);
}

function substringBytes(text: Value | undefined, from: Value | undefined, length: Value | undefined): string {
  const bytes = Buffer.from(coerceToString(text));
  if (!isNumber(from) || from instanceof Decimal128) {
    throw new StoreError(
      16034,
      `$substrBytes: starting index must be a numeric type (is BSON type ${typeOf(from)})`,
    );
  }
  if (!isNumber(length) || length instanceof Decimal128) {
    throw new StoreError(
      16035,
      `$substrBytes: length must be a numeric type (is BSON type ${typeOf(length)})`,
    );
  }
  const start = Math.trunc(toNumber(from));
  const count = Math.trunc(toNumber(length));
  if (start < 0) throw new StoreError(50752, '$substrBytes: starting index must be non-negative');
  if (start >= bytes.length) return '';
  const end = count < 0 ? bytes.length : Math.min(bytes.length, start + count);
  if (continues(bytes[start])) {
    throw new StoreError(28656, '$substrBytes: Invalid range, starting index is a UTF-8 continuation byte.');
  }
  if (end < bytes.length && continues(bytes[end])) {
    throw new StoreError(
      28657,
      '$substrBytes: Invalid range, ending index is in the middle of a UTF-8 character.',
    );
  }
  return bytes.toString('utf8', start, end);
}

function continues(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}
