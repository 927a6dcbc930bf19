import type {
  BSONRegExp,
  BSONSymbol,
  Binary,
  Code,
  DBRef,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';

/**
 * A BSON document as the store works with it. A Map, because field order and names are data in MongoDB, and a
 * JavaScript object moves integer-like keys to the front and treats `__proto__` as special.
 */
export type Document = Map<string, Value>;

/**
 * A BSON value. Numbers keep their wrappers, so that an integral double is still a double when it is written back,
 * and a 64-bit integer keeps every digit. A missing field is `undefined`; BSON's deprecated Undefined type is read
 * as null. A UTC datetime is a JavaScript Date.
 */
export type Value =
  | null
  | string
  | boolean
  | Int32
  | Long
  | Double
  | Decimal128
  | Date
  | ObjectId
  | Binary
  | BSONRegExp
  | Timestamp
  | Code
  | BSONSymbol
  | DBRef
  | MinKey
  | MaxKey
  | Value[]
  | Document;
