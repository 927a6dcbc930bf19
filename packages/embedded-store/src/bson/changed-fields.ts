import { Reader } from './reader';

/**
 * Names of the top-level fields whose bytes differ between two documents, with those that only one of them has. Of
 * fields with the same name the first counts, as everywhere.
 */
export function changedFields(before: Uint8Array, after: Uint8Array): ReadonlySet<string> {
  const [old, next] = [asBuffer(before), asBuffer(after)];
  return changedInPlace(old, next) ?? changedByName(old, next);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The same for documents with the same fields in the same order, as most updates leave them; undefined for others. */
function changedInPlace(old: Buffer, next: Buffer): ReadonlySet<string> | undefined {
  const [a, b] = [new Reader(old), new Reader(next)];
  const [endA, endB] = [a.enter(old.length), b.enter(next.length)];
  const changed = new Set<string>();
  const seen = new Set<string>();
  for (;;) {
    const [typeA, typeB] = [a.type(endA), b.type(endB)];
    if (typeA === 0 || typeB === 0) return typeA === typeB ? changed : undefined;
    const name = a.name(endA);
    if (b.name(endB) !== name || seen.has(name)) return undefined;
    seen.add(name);
    const [startA, startB] = [a.position, b.position];
    a.skip(typeA, endA);
    b.skip(typeB, endB);
    const same = typeA === typeB && sameBytes(old, startA, a.position, next, startB, b.position);
    if (!same) changed.add(name);
  }
}

/** Values up to this size are compared here, which is faster than a call into native code. */
const SHORT = 64;

function sameBytes(
  a: Buffer,
  startA: number,
  endA: number,
  b: Buffer,
  startB: number,
  endB: number,
): boolean {
  const length = endA - startA;
  if (endB - startB !== length) return false;
  if (length > SHORT) return a.compare(b, startB, endB, startA, endA) === 0;
  for (let i = 0; i < length; i++) if (a[startA + i] !== b[startB + i]) return false;
  return true;
}

function changedByName(before: Buffer, after: Buffer): ReadonlySet<string> {
  const old = readFields(before);
  const changed = new Set<string>();
  for (const [name, field] of readFields(after)) {
    if (old.get(name)?.equals(field) !== true) changed.add(name);
    old.delete(name);
  }
  for (const name of old.keys()) changed.add(name);
  return changed;
}

/** The bytes of each top-level field, from its type to its end. */
function readFields(bytes: Buffer): Map<string, Buffer> {
  const reader = new Reader(bytes);
  const fields = new Map<string, Buffer>();
  const end = reader.enter(bytes.length);
  for (let start = reader.position, type = reader.type(end); type !== 0; type = reader.type(end)) {
    const name = reader.name(end);
    reader.skip(type, end);
    if (!fields.has(name)) fields.set(name, bytes.subarray(start, reader.position));
    start = reader.position;
  }
  return fields;
}
