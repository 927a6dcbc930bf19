import { Binary, BSONRegExp, Code, Double, Int32, Long } from 'bson';
import type { Document, Value } from './types';

const INT_MIN = -(2 ** 31);
const INT_MAX = 2 ** 31 - 1;

/**
 * A value with plain objects in place of Maps; everything else, including number wrappers, is unchanged. For error
 * details and tests. Integer-like field names may move to the front, as in any object.
 */
export function toPlain(value: Value): unknown {
  if (Array.isArray(value)) return value.map(toPlain);
  if (!(value instanceof Map)) return value;
  const result: Record<string, unknown> = {};
  for (const [name, item] of value) {
    // An assignment to __proto__ would set the prototype and lose the field.
    Object.defineProperty(result, name, {
      value: toPlain(item),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return result;
}

/**
 * A plain JavaScript value as the store represents it, with the types that the driver would send: integers within
 * 32 bits become Int32, other numbers Double, bigints Long, RegExp a BSONRegExp, bytes a Binary; undefined fields
 * are left out.
 */
export function fromPlain(plain: unknown): Value {
  switch (typeof plain) {
    case 'number':
      return Number.isInteger(plain) && plain >= INT_MIN && plain <= INT_MAX && !Object.is(plain, -0)
        ? new Int32(plain)
        : new Double(plain);
    case 'bigint':
      return Long.fromBigInt(plain);
    case 'undefined':
      return null;
    case 'string':
    case 'boolean':
      return plain;
    default:
      return fromObject(plain);
  }
}

function fromObject(plain: unknown): Value {
  if (plain === null || plain instanceof Date) return plain;
  if (Array.isArray(plain)) return plain.map(fromPlain);
  if (plain instanceof Map) return fromEntries(plain.entries() as Iterable<[string, unknown]>);
  if (plain instanceof Uint8Array) return new Binary(plain);
  if (plain instanceof RegExp) {
    const options = [...plain.flags].filter((flag) => 'imsu'.includes(flag)).join('');
    return new BSONRegExp(plain.source, options);
  }
  if (plain instanceof Code && plain.scope !== null)
    return new Code(plain.code, fromObject(plain.scope) as Document);
  if (typeof plain === 'object' && '_bsontype' in plain) return plain as Value;
  return fromEntries(Object.entries(plain as Record<string, unknown>));
}

function fromEntries(entries: Iterable<[string, unknown]>): Document {
  const result: Document = new Map();
  for (const [name, value] of entries) {
    if (value !== undefined) result.set(name, fromPlain(value));
  }
  return result;
}
