import {
  Binary,
  BSONRegExp,
  BSONSymbol,
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
import { StoreError } from '../errors';
import { TYPE } from './type-codes';
import type { Document, Value } from './types';

/** MongoDB refuses BSON that nests deeper than this many documents and arrays. */
export const MAX_DEPTH = 200;

const MAX_DATE = 8_640_000_000_000_000;
const TWO_32 = 4_294_967_296;

/** The constructor reads twelve bytes at an offset without a copy; the published types lack that form. */
const ObjectIdAt = ObjectId as unknown as new (bytes: Uint8Array, offset: number) => ObjectId;

const NAME_CACHE_SIZE = 2048;
const NAME_CACHE_LENGTH = 32;
/** Field names repeat from document to document; reusing a string saves decoding and hashing it. */
const nameCache: (string | undefined)[] = Array.from({ length: NAME_CACHE_SIZE }, () => undefined);

function invalid(reason: string): StoreError {
  return new StoreError('InvalidBSON', `Invalid BSON: ${reason}`);
}

/** A cursor over BSON bytes. Every length is checked against its enclosing document before it is used. */
export class Reader {
  position = 0;
  private depth = 0;

  constructor(private readonly bytes: Buffer) {}

  /** Reads one whole document whose length must end at or before `limit`. */
  document(limit: number): Document {
    const start = this.position;
    const end = this.enter(limit);
    const result: Document = new Map();
    let fields = 0;
    for (let type = this.type(end); type !== 0; type = this.type(end)) {
      const name = this.name(end);
      result.set(name, this.value(type, end));
      fields++;
    }
    this.leave(end);
    return fields === result.size ? result : this.withoutRepeats(start, limit);
  }

  /** The opening of a document: checks its length and returns the offset just past it. */
  enter(limit: number): number {
    const length = this.int32(limit);
    const end = this.position - 4 + length;
    if (length < 5 || end > limit) throw invalid('a document length does not fit its container');
    if (++this.depth > MAX_DEPTH) {
      throw new StoreError('Overflow', `BSONObj exceeded maximum nested object depth: ${MAX_DEPTH}`);
    }
    return end;
  }

  leave(end: number): void {
    if (this.position !== end) throw invalid('a document does not end where its length says');
    this.depth--;
  }

  /** The type byte of the next element; 0 at the end of the document. */
  type(end: number): number {
    if (this.position >= end) throw invalid('a document is not terminated');
    return this.bytes[this.position++] as number;
  }

  name(end: number): string {
    const { bytes } = this;
    const start = this.position;
    let hash = 0;
    let at = start;
    let seen = 0;
    for (let byte = bytes[at] as number; byte !== 0; byte = bytes[at] as number) {
      hash = (hash * 31 + byte) | 0;
      seen |= byte;
      if (++at >= end) throw invalid('a field name is not terminated');
    }
    this.position = at + 1;
    const length = at - start;
    if (length > NAME_CACHE_LENGTH || seen > 127) return bytes.toString('utf8', start, at);
    const slot = hash & (NAME_CACHE_SIZE - 1);
    const cached = nameCache[slot];
    if (cached !== undefined && cached.length === length) {
      let same = 0;
      while (same < length && cached.charCodeAt(same) === bytes[start + same]) same++;
      if (same === length) return cached;
    }
    const name = bytes.toString('latin1', start, at);
    nameCache[slot] = name;
    return name;
  }

  /** Skips a field name and returns whether it is the given one (as UTF-8 bytes). */
  nameIs(wanted: Buffer, end: number): boolean {
    const { bytes } = this;
    const start = this.position;
    const length = wanted.length;
    let at = start;
    while (at - start < length && at < end && bytes[at] === wanted[at - start]) at++;
    const same = at - start === length && bytes[at] === 0;
    while (at < end && bytes[at] !== 0) at++;
    if (at >= end) throw invalid('a field name is not terminated');
    this.position = at + 1;
    return same;
  }

  value(type: number, end: number): Value {
    switch (type) {
      case TYPE.string:
        return this.string(end);
      case TYPE.int:
        return new Int32(this.int32(end));
      case TYPE.objectId:
        return new ObjectIdAt(this.bytes, this.take(12, end));
      case TYPE.bool:
        return this.bool(end);
      case TYPE.date:
        return this.date(end);
      case TYPE.double:
        return new Double(this.bytes.readDoubleLE(this.take(8, end)));
      case TYPE.long:
        return new Long(this.int32(end), this.int32(end));
      case TYPE.object:
        return this.document(end);
      case TYPE.array:
        return this.array(end);
      case TYPE.null:
      case TYPE.undefined:
        return null;
      default:
        return this.rareValue(type, end);
    }
  }

  /** Skips a value, and checks its lengths. */
  skip(type: number, end: number): void {
    switch (type) {
      case TYPE.string:
      case TYPE.code:
      case TYPE.symbol: {
        const length = this.int32(end);
        if (length < 1) throw invalid('a string length is below one');
        const at = this.take(length, end);
        if (this.bytes[at + length - 1] !== 0) throw invalid('a string is not terminated');
        return;
      }
      case TYPE.object:
      case TYPE.array:
      case TYPE.codeWithScope: {
        const length = this.int32(end);
        if (length < 5) throw invalid('a length is too small');
        this.take(length - 4, end);
        return;
      }
      case TYPE.binary: {
        const length = this.int32(end);
        if (length < 0) throw invalid('a binary length is negative');
        this.take(length + 1, end);
        return;
      }
      case TYPE.regex:
        this.cstring(end);
        this.cstring(end);
        return;
      default: {
        const size = FIXED_SIZES[type];
        if (size === undefined) this.rareValue(type, end);
        else this.take(size, end);
      }
    }
  }

  private rareValue(type: number, end: number): Value {
    switch (type) {
      case TYPE.binary:
        return this.binary(end);
      case TYPE.regex:
        return this.regex(end);
      case TYPE.timestamp:
        return new Timestamp(new Long(this.int32(end), this.int32(end), true));
      case TYPE.decimal: {
        const at = this.take(16, end);
        return new Decimal128(Uint8Array.prototype.slice.call(this.bytes, at, at + 16));
      }
      case TYPE.code:
        return new Code(this.string(end));
      case TYPE.codeWithScope:
        return this.codeWithScope(end);
      case TYPE.symbol:
        return new BSONSymbol(this.string(end));
      case TYPE.dbPointer: {
        const namespace = this.string(end);
        return new DBRef(namespace, new ObjectIdAt(this.bytes, this.take(12, end)));
      }
      case TYPE.minKey:
        return new MinKey();
      case TYPE.maxKey:
        return new MaxKey();
      default:
        throw invalid(`unknown type 0x${type.toString(16).padStart(2, '0')}`);
    }
  }

  private array(limit: number): Value[] {
    const end = this.enter(limit);
    const result: Value[] = [];
    for (let type = this.type(end); type !== 0; type = this.type(end)) {
      while (this.position < end && this.bytes[this.position] !== 0) this.position++;
      this.position++;
      result.push(this.value(type, end));
    }
    this.leave(end);
    return result;
  }

  private take(count: number, end: number): number {
    const at = this.position;
    if (at + count >= end) throw invalid('a value runs past the end of its document');
    this.position = at + count;
    return at;
  }

  private int32(end: number): number {
    const at = this.position;
    const { bytes } = this;
    if (at + 4 > end) throw invalid('a value runs past the end of its document');
    this.position = at + 4;
    return (
      (bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)
    );
  }

  private string(end: number): string {
    const length = this.int32(end);
    if (length < 1) throw invalid('a string length is below one');
    const at = this.take(length, end);
    const last = at + length - 1;
    if (this.bytes[last] !== 0) throw invalid('a string is not terminated');
    return this.bytes.toString('utf8', at, last);
  }

  private cstring(end: number): string {
    const at = this.bytes.indexOf(0, this.position);
    if (at < 0 || at >= end) throw invalid('a string is not terminated');
    const text = this.bytes.toString('utf8', this.position, at);
    this.position = at + 1;
    return text;
  }

  private bool(end: number): boolean {
    const byte = this.bytes[this.take(1, end)] as number;
    if (byte > 1) throw invalid('a boolean is neither 0 nor 1');
    return byte === 1;
  }

  private date(end: number): Date {
    const low = this.int32(end) >>> 0;
    const time = this.int32(end) * TWO_32 + low;
    if (Math.abs(time) > MAX_DATE)
      throw new StoreError('BadValue', `Date out of the range of ±${MAX_DATE} ms`);
    return new Date(time);
  }

  private binary(end: number): Binary {
    const length = this.int32(end);
    if (length < 0) throw invalid('a binary length is negative');
    const subtype = this.bytes[this.take(1, end)] as number;
    const at = this.take(length, end);
    if (subtype !== Binary.SUBTYPE_BYTE_ARRAY) {
      return new Binary(Uint8Array.prototype.slice.call(this.bytes, at, at + length), subtype);
    }
    if (length < 4 || this.bytes.readInt32LE(at) !== length - 4) {
      throw invalid('an old-style binary has two lengths that disagree');
    }
    return new Binary(Uint8Array.prototype.slice.call(this.bytes, at + 4, at + length), subtype);
  }

  private regex(end: number): BSONRegExp {
    const pattern = this.cstring(end);
    const options = this.cstring(end);
    try {
      return new BSONRegExp(pattern, options);
    } catch {
      throw new StoreError('BadValue', `invalid flag in regex options: ${options}`);
    }
  }

  private codeWithScope(limit: number): Code {
    const start = this.position;
    const length = this.int32(limit);
    const end = start + length;
    if (length < 14 || end > limit) throw invalid('a code-with-scope length does not fit its container');
    const code = this.string(end);
    const scope = this.document(end);
    if (this.position !== end) throw invalid('a code with scope does not end where its length says');
    return new Code(code, scope);
  }

  /** Of fields with the same name the first counts, as everywhere in MongoDB. */
  private withoutRepeats(start: number, limit: number): Document {
    this.position = start;
    const end = this.enter(limit);
    const result: Document = new Map();
    for (let type = this.type(end); type !== 0; type = this.type(end)) {
      const name = this.name(end);
      const value = this.value(type, end);
      if (!result.has(name)) result.set(name, value);
    }
    this.leave(end);
    return result;
  }
}

const FIXED_SIZES: Readonly<Record<number, number>> = {
  [TYPE.double]: 8,
  [TYPE.objectId]: 12,
  [TYPE.bool]: 1,
  [TYPE.date]: 8,
  [TYPE.null]: 0,
  [TYPE.undefined]: 0,
  [TYPE.int]: 4,
  [TYPE.timestamp]: 8,
  [TYPE.long]: 8,
  [TYPE.decimal]: 16,
  [TYPE.minKey]: 0,
  [TYPE.maxKey]: 0,
};
