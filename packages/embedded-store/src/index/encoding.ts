import { createHash } from 'node:crypto';
import type {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  DBRef,
  Decimal128,
  Long,
  ObjectId,
  Timestamp,
} from 'bson';
import { ORDER, typeOrder } from '../bson/compare';
import { asDecimal, compareToDouble, exactDouble, type NumberValue } from '../bson/numeric-order';
import { decimalToNumber, type Decimal } from '../bson/decimal';
import type { Document, Value } from '../bson/types';
import type { Collator } from '../query/collation';

/**
 * The first byte of an encoded value: the types in MongoDB's order. Zero ends a document or array, and no byte is
 * above 0xF0, so that 0xFF is above every key of ascending and of descending components.
 */
export const TAG = {
  minKey: 0x08,
  undefined: 0x10,
  null: 0x18,
  number: 0x20,
  string: 0x28,
  object: 0x30,
  array: 0x38,
  binary: 0x40,
  objectId: 0x48,
  bool: 0x50,
  date: 0x58,
  timestamp: 0x60,
  regex: 0x68,
  dbPointer: 0x70,
  code: 0x78,
  codeWithScope: 0x80,
  maxKey: 0x88,
} as const;

const TAG_BY_ORDER: Readonly<Record<number, number>> = {
  [ORDER.minKey]: TAG.minKey,
  [ORDER.missing]: TAG.undefined,
  [ORDER.null]: TAG.null,
  [ORDER.number]: TAG.number,
  [ORDER.string]: TAG.string,
  [ORDER.object]: TAG.object,
  [ORDER.array]: TAG.array,
  [ORDER.binary]: TAG.binary,
  [ORDER.objectId]: TAG.objectId,
  [ORDER.bool]: TAG.bool,
  [ORDER.date]: TAG.date,
  [ORDER.timestamp]: TAG.timestamp,
  [ORDER.regex]: TAG.regex,
  [ORDER.dbPointer]: TAG.dbPointer,
  [ORDER.code]: TAG.code,
  [ORDER.codeWithScope]: TAG.codeWithScope,
  [ORDER.maxKey]: TAG.maxKey,
};

/** Bytes of the digest that replaces the rest of a component that is too long. */
export const DIGEST_BYTES = 16;

const EXACT = 0;
const BETWEEN = 1;
const EXPONENT_BIAS = 0x4000;

/** The first byte of a value's encoding; undefined represents an empty array, which sorts below null. */
export function tagOf(value: Value | undefined): number {
  return TAG_BY_ORDER[typeOrder(value)] as number;
}

/**
 * Writes values so that the order of the bytes is MongoDB's order of the values, and no encoding is a prefix of
 * another. Numbers of all types have the same exact form. One instance is reused.
 */
export class KeyWriter {
  bytes = Buffer.allocUnsafe(4096);
  length = 0;
  /** Whether a component was cut since the last reset, so that its exact position is unknown. */
  truncated = false;

  reset(): void {
    this.length = 0;
    this.truncated = false;
  }

  /** A copy of the bytes written since the reset. */
  take(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }

  /**
   * Writes one component of a key: cut to `limit` bytes and a digest when longer, and with all bits inverted when
   * it is descending.
   */
  component(value: Value | undefined, descending: boolean, limit: number, collator?: Collator): void {
    const start = this.length;
    this.value(value, collator);
    this.finishComponent(start, descending, limit);
  }

  /** Cuts and inverts the bytes from `start` on, which are one component. */
  finishComponent(start: number, descending: boolean, limit: number): void {
    if (this.length - start > limit) {
      const digest = createHash('sha256').update(this.bytes.subarray(start, this.length)).digest();
      digest.copy(this.bytes, start + limit, 0, DIGEST_BYTES);
      this.length = start + limit + DIGEST_BYTES;
      this.truncated = true;
    }
    if (descending) {
      for (let i = start; i < this.length; i++) this.bytes[i] = ~(this.bytes[i] as number);
    }
  }

  /** Writes a value: its tag and what follows. With a collator, strings are written in its form. */
  value(value: Value | undefined, collator?: Collator): void {
    const order = typeOrder(value);
    this.byte(TAG_BY_ORDER[order] as number);
    this.payload(order, value, collator);
  }

  private payload(order: number, value: Value | undefined, collator?: Collator): void {
    switch (order) {
      case ORDER.number:
        this.number(value as NumberValue);
        return;
      case ORDER.string:
        this.string(typeof value === 'string' ? value : (value as BSONSymbol).value, collator);
        return;
      case ORDER.objectId:
        this.raw((value as ObjectId).id);
        return;
      case ORDER.bool:
        this.byte(value === true ? 1 : 0);
        return;
      case ORDER.date:
        this.time((value as Date).getTime());
        return;
      case ORDER.object:
        this.document(value as Document, collator);
        return;
      case ORDER.array:
        for (const item of value as Value[]) this.value(item, collator);
        this.byte(0);
        return;
      default:
        this.rarePayload(order, value as Value);
    }
  }

  private rarePayload(order: number, value: Value): void {
    switch (order) {
      case ORDER.binary:
        this.binary(value as Binary);
        return;
      case ORDER.timestamp:
        this.uint32((value as Timestamp).t);
        this.uint32((value as Timestamp).i);
        return;
      case ORDER.regex:
        this.string((value as BSONRegExp).pattern);
        this.string((value as BSONRegExp).options);
        return;
      case ORDER.dbPointer:
        this.string((value as DBRef).collection);
        this.raw((value as DBRef).oid.id);
        return;
      case ORDER.code:
        this.string((value as Code).code);
        return;
      case ORDER.codeWithScope:
        this.string((value as Code).code);
        this.document((value as Code).scope as unknown as Document);
        return;
      default:
      // MinKey, missing, null and MaxKey consist of their tags.
    }
  }

  /** Fields in their order, each as type, name, value: the order in which documents compare. */
  private document(document: Document, collator?: Collator): void {
    for (const [name, value] of document) {
      const order = typeOrder(value);
      this.byte(TAG_BY_ORDER[order] as number);
      this.string(name);
      this.payload(order, value, collator);
    }
    this.byte(0);
  }

  number(value: NumberValue): void {
    const exact = exactDouble(value);
    if (exact !== undefined) this.double(exact);
    else this.betweenDoubles(asDecimal(value as Long | Decimal128));
  }

  /** A number that is a double: its bits, changed so that they sort as unsigned. NaN is below all, −0 equals 0. */
  double(value: number): void {
    this.sortableDouble(value);
    this.byte(EXACT);
  }

  private sortableDouble(value: number): void {
    this.reserve(8);
    const at = this.length;
    if (Number.isNaN(value)) this.bytes.fill(0, at, at + 8);
    else {
      this.bytes.writeDoubleBE(value === 0 ? 0 : value, at);
      if (value < 0) for (let i = at; i < at + 8; i++) this.bytes[i] = ~(this.bytes[i] as number);
      else this.bytes[at] = (this.bytes[at] as number) ^ 0x80;
    }
    this.length = at + 8;
  }

  /**
   * A number between two doubles: the one below it, then the decimal digits that order it among the numbers between
   * the same doubles.
   */
  private betweenDoubles(value: Decimal): void {
    this.sortableDouble(doubleBelow(value));
    this.byte(BETWEEN);
    const digits = value.coefficient.toString();
    const significant = digits.replace(/0+$/, '');
    const start = this.length;
    const exponent = value.exponent + digits.length + EXPONENT_BIAS;
    this.byte(exponent >> 8);
    this.byte(exponent & 0xff);
    for (const digit of significant) this.byte(digit.charCodeAt(0) - 46);
    this.byte(0);
    if (value.negative) for (let i = start; i < this.length; i++) this.bytes[i] = ~(this.bytes[i] as number);
  }

  /** Milliseconds as a signed 64-bit integer, sign bit inverted. */
  time(milliseconds: number): void {
    this.uint32(Math.floor(milliseconds / 4_294_967_296) ^ 0x80000000);
    this.uint32(milliseconds);
  }

  private binary(value: Binary): void {
    this.uint32(value.position);
    this.byte(value.sub_type);
    this.raw(value.buffer.subarray(0, value.position));
  }

  string(text: string, collator?: Collator): void {
    const form = collator === undefined ? text : collator.key(text);
    this.reserve(form.length * 3 + 1);
    const start = this.length;
    if (this.plain(form)) return;
    const end = start + this.bytes.write(form, start);
    let special = false;
    for (let i = start; i < end; i++) if ((this.bytes[i] as number) <= 1) special = true;
    this.length = end;
    if (special) {
      const plain = Buffer.from(this.bytes.subarray(start, end));
      this.length = start;
      this.escaped(plain);
    }
    this.byte(0);
  }

  /** For short ASCII this is faster than a call into native code. Returns false, with nothing written, for others. */
  private plain(text: string): boolean {
    const { bytes, length } = this;
    if (text.length > 32) return false;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 2 || unit > 127) return false;
      bytes[length + i] = unit;
    }
    bytes[length + text.length] = 0;
    this.length = length + text.length + 1;
    return true;
  }

  /** Bytes 0 and 1 become two, so that 0 can end the string and still sort below everything in it. */
  private escaped(plain: Buffer): void {
    for (const byte of plain) {
      if (byte > 1) this.byte(byte);
      else {
        this.byte(1);
        this.byte(byte + 1);
      }
    }
  }

  raw(content: Uint8Array): void {
    const count = content.length;
    this.reserve(count);
    if (count > 16) this.bytes.set(content, this.length);
    else for (let i = 0; i < count; i++) this.bytes[this.length + i] = content[i] as number;
    this.length += count;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  uint32(value: number): void {
    this.reserve(4);
    const { bytes, length } = this;
    bytes[length] = value >>> 24;
    bytes[length + 1] = value >>> 16;
    bytes[length + 2] = value >>> 8;
    bytes[length + 3] = value;
    this.length = length + 4;
  }

  reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.length + count, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }
}

const view = new DataView(new ArrayBuffer(8));

/** The largest double that is not above a decimal. */
function doubleBelow(value: Decimal): number {
  const near = decimalToNumber(value);
  if (near === Infinity) return Number.MAX_VALUE;
  if (near === -Infinity) return near;
  return compareToDouble(value, near) >= 0 ? near : nextBelow(near);
}

function nextBelow(value: number): number {
  if (value === 0) return -Number.MIN_VALUE;
  view.setFloat64(0, value);
  view.setBigInt64(0, view.getBigInt64(0) + (value > 0 ? -1n : 1n));
  return view.getFloat64(0);
}
