import { StoreError } from '../errors';
import type { Value } from '../bson/types';

const MAX_DEPTH = 200;

/** Splits and checks a field path ("a.b"), without its dollar. */
export function parsePath(path: string): string[] {
  if (path.endsWith('.')) throw new StoreError(40353, "FieldPath must not end with a '.'.");
  const parts = path.split('.');
  if (parts.length > MAX_DEPTH) throw new StoreError('Overflow', 'FieldPath is too long');
  for (const part of parts) checkFieldName(part);
  return parts;
}

/** Checks one field name of a path. */
export function checkFieldName(name: string): void {
  if (name === '') throw new StoreError(15998, 'FieldPath field names may not be empty strings.');
  if (name.startsWith('$')) {
    throw new StoreError(
      16410,
      `FieldPath field names may not start with '$'. Consider using $getField or $setField.`,
    );
  }
  if (name.includes('\0')) {
    throw new StoreError(16411, 'FieldPath field names may not contain null bytes.');
  }
  if (name.includes('.')) throw new StoreError(16412, "FieldPath field names may not contain '.'.");
}

/**
 * Resolves a path as aggregation expressions do: an array on the path yields the array of the values in its
 * documents, and a number is never an array index (unlike in queries).
 */
export function readPath(value: Value | undefined, parts: readonly string[], from = 0): Value | undefined {
  let current = value;
  for (let i = from; i < parts.length; i++) {
    if (Array.isArray(current)) {
      const found: Value[] = [];
      for (const item of current) {
        const inner = item instanceof Map ? readPath(item, parts, i) : undefined;
        if (inner !== undefined) found.push(inner);
      }
      return found;
    }
    if (!(current instanceof Map)) return undefined;
    current = current.get(parts[i] as string);
  }
  return current;
}
