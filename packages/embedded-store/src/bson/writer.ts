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
import { MAX_DEPTH } from './reader';
import { TYPE } from './type-codes';
import type { Document, Value } from './types';

const FIRST_SIZE = 64 * 1024;
/** Above MongoDB's limit for one document, because a reply contains a full batch. */
const MAX_SIZE = 64 * 1024 * 1024;

/** Growing output buffer for BSON. One instance is reused; `take` copies the result. */
export class Writer {
  private bytes = Buffer.allocUnsafe(FIRST_SIZE);
  private position = 0;
  private depth = 0;

  /** Writes one document and returns its bytes in a new buffer. */
  encode(document: Document): Buffer {
    this.position = 0;
    this.depth = 0;
    this.document(document);
    return this.take();
  }

  private take(): Buffer {
    const result = Buffer.allocUnsafeSlow(this.position);
    this.bytes.copy(result, 0, 0, this.position);
    if (this.bytes.length > FIRST_SIZE * 16) this.bytes = Buffer.allocUnsafe(FIRST_SIZE);
    return result;
  }

  /**
   * Copies an encoded document and gives some of its top-level elements another value; undefined removes an element.
   * `replaced` has the places of these elements in their order, `added` the fields to write after the others.
   */
  splice(
    bytes: Buffer,
    replaced: readonly { name: string; start: number; end: number; value: Value | undefined }[],
    added: readonly { name: string; value: Value | undefined }[],
  ): Buffer {
    this.position = 0;
    this.depth = 0;
    const start = this.open();
    let copied = start + 4;
    for (const { name, start: from, end, value } of replaced) {
      this.copy(bytes, copied, from);
      this.element(name, value);
      copied = end;
    }
    this.copy(bytes, copied, bytes.length - 1);
    for (const { name, value } of added) this.element(name, value);
    this.close(start);
    return this.take();
  }

  private copy(bytes: Buffer, start: number, end: number): void {
    const count = end - start;
    this.reserve(count);
    this.position += bytes.copy(this.bytes, this.position, start, end);
  }

  private document(document: Document): void {
    const start = this.open();
    for (const [name, value] of document) this.element(name, value);
    this.close(start);
  }

  private array(items: readonly Value[]): void {
    const start = this.open();
    for (let i = 0; i < items.length; i++) this.element(String(i), items[i] ?? null);
    this.close(start);
  }

  private open(): number {
    if (++this.depth > MAX_DEPTH) {
      throw new StoreError('Overflow', `BSONObj exceeded maximum nested object depth: ${MAX_DEPTH}`);
    }
    const start = this.position;
    this.reserve(4);
    this.position += 4;
    return start;
  }

  private close(start: number): void {
    this.byte(0);
    this.bytes.writeInt32LE(this.position - start, start);
    this.depth--;
  }

  private element(name: string, value: Value | undefined): void {
    if (value === undefined) return;
    const at = this.position;
    this.byte(0);
    this.cstring(name);
    const type = this.value(value);
    this.bytes[at] = type;
  }

  /** Writes a value and returns its type byte. */
  private value(value: Value): number {
    if (typeof value === 'string') {
      this.string(value);
      return TYPE.string;
    }
    if (value === null) return TYPE.null;
    if (typeof value === 'boolean') {
      this.byte(value ? 1 : 0);
      return TYPE.bool;
    }
    if (value instanceof Int32) {
      this.int32(value.value);
      return TYPE.int;
    }
    if (value instanceof Double) {
      this.reserve(8);
      this.position = this.bytes.writeDoubleLE(value.value, this.position);
      return TYPE.double;
    }
    if (value instanceof ObjectId) {
      this.raw(value.id);
      return TYPE.objectId;
    }
    if (value instanceof Date) {
      this.date(value);
      return TYPE.date;
    }
    if (value instanceof Map) {
      this.document(value);
      return TYPE.object;
    }
    if (Array.isArray(value)) {
      this.array(value);
      return TYPE.array;
    }
    // A Timestamp is an instance of Long, so this test comes first.
    if (value instanceof Timestamp) {
      this.int32(value.low);
      this.int32(value.high);
      return TYPE.timestamp;
    }
    if (value instanceof Long) {
      this.int32(value.low);
      this.int32(value.high);
      return TYPE.long;
    }
    return this.rareValue(value);
  }

  private rareValue(value: Exclude<Value, null | string | boolean | Date | Document | Value[]>): number {
    if (value instanceof Binary) {
      this.binary(value);
      return TYPE.binary;
    }
    if (value instanceof Decimal128) {
      this.raw(value.bytes);
      return TYPE.decimal;
    }
    if (value instanceof BSONRegExp) {
      this.cstring(value.pattern);
      this.cstring(value.options);
      return TYPE.regex;
    }
    if (value instanceof MinKey) return TYPE.minKey;
    if (value instanceof MaxKey) return TYPE.maxKey;
    if (value instanceof BSONSymbol) {
      this.string(value.value);
      return TYPE.symbol;
    }
    if (value instanceof Code) return this.code(value);
    if (value instanceof DBRef) {
      this.string(value.db === undefined ? value.collection : `${value.db}.${value.collection}`);
      this.raw(value.oid.id);
      return TYPE.dbPointer;
    }
    throw new StoreError('InternalError', `a value of an unknown kind cannot be written: ${typeof value}`);
  }

  private code(value: Code): number {
    if (value.scope === null) {
      this.string(value.code);
      return TYPE.code;
    }
    const start = this.position;
    this.reserve(4);
    this.position += 4;
    this.string(value.code);
    // The reader makes the scope a Map; a plain object comes from a caller.
    this.document(
      value.scope instanceof Map
        ? (value.scope as Document)
        : new Map<string, Value>(Object.entries(value.scope)),
    );
    this.bytes.writeInt32LE(this.position - start, start);
    return TYPE.codeWithScope;
  }

  private binary(value: Binary): void {
    const content = value.buffer.subarray(0, value.position);
    const old = value.sub_type === Binary.SUBTYPE_BYTE_ARRAY;
    this.int32(old ? content.length + 4 : content.length);
    this.byte(value.sub_type);
    if (old) this.int32(content.length);
    this.raw(content);
  }

  private date(value: Date): void {
    const time = value.getTime();
    if (Number.isNaN(time)) throw new StoreError('BadValue', 'an invalid date cannot be stored');
    this.reserve(8);
    this.position = this.bytes.writeBigInt64LE(BigInt(time), this.position);
  }

  private string(text: string): void {
    this.reserve(text.length * 3 + 5);
    const start = this.position;
    const end = this.text(text, start + 4);
    this.bytes[end] = 0;
    this.bytes.writeInt32LE(end - start - 3, start);
    this.position = end + 1;
  }

  private cstring(text: string): void {
    if (text.includes('\0')) {
      throw new StoreError('BadValue', 'a field name or regular expression cannot contain a null byte');
    }
    this.reserve(text.length * 3 + 1);
    const end = this.text(text, this.position);
    this.bytes[end] = 0;
    this.position = end + 1;
  }

  /** For short ASCII, which most names and many values are, this is faster than a call into native code. */
  private text(text: string, at: number): number {
    const { bytes } = this;
    const { length } = text;
    if (length > 32) return at + bytes.write(text, at);
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 127) return at + bytes.write(text, at);
      bytes[at + i] = unit;
    }
    return at + length;
  }

  private raw(content: Uint8Array): void {
    this.reserve(content.length);
    this.bytes.set(content, this.position);
    this.position += content.length;
  }

  private byte(value: number): void {
    this.reserve(1);
    this.bytes[this.position++] = value;
  }

  private int32(value: number): void {
    this.reserve(4);
    this.position = this.bytes.writeInt32LE(value, this.position);
  }

  private reserve(count: number): void {
    const needed = this.position + count;
    if (needed <= this.bytes.length) return;
    if (needed > MAX_SIZE * 4)
      throw new StoreError('BSONObjectTooLarge', 'the document is too large to write');
    const larger = Buffer.allocUnsafe(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.position);
    this.bytes = larger;
  }
}
