import { StoreError } from '../errors';

/** One step of an update path: a field or index, `$`, `$[]` or `$[identifier]`. */
export type PathPart =
  | { kind: 'field'; name: string }
  | { kind: 'positional' }
  /** The identifier is empty for `$[]`. */
  | { kind: 'elements'; identifier: string };

const ELEMENTS = /^\$\[(.*)\]$/s;

/**
 * Reads the path of an update operator.
 *
 * @throws StoreError EmptyFieldName, or BadValue for `$` in the first place or more than one `$`.
 * @see https://www.mongodb.com/docs/manual/reference/operator/update/positional/
 */
export function parseUpdatePath(path: string): PathPart[] {
  if (path === '') throw new StoreError('EmptyFieldName', 'An empty update path is not valid.');
  const parts = path.split('.').map((name): PathPart => {
    if (name === '') {
      throw new StoreError(
        'EmptyFieldName',
        `The update path '${path}' contains an empty field name, which is not allowed.`,
      );
    }
    if (name === '$') return { kind: 'positional' };
    const elements = ELEMENTS.exec(name);
    return elements ? { kind: 'elements', identifier: elements[1] ?? '' } : { kind: 'field', name };
  });
  if (parts.filter((part) => part.kind === 'positional').length > 1) {
    throw new StoreError('BadValue', `Too many positional (i.e. '$') elements found in path '${path}'`);
  }
  const first = parts[0];
  if (first?.kind === 'positional') {
    throw new StoreError(
      'BadValue',
      `Cannot have positional (i.e. '$') element in the first position in path '${path}'`,
    );
  }
  if (first?.kind === 'elements') {
    throw new StoreError(
      'BadValue',
      `Cannot have array filter identifier (i.e. '$[<id>]') element in the first position in path '${path}'`,
    );
  }
  return parts;
}

/** Whether a step can be an index of an array. */
export function isArrayIndex(name: string): boolean {
  return /^\d+$/.test(name);
}

/**
 * The order in which the fields of an update are applied: names by their bytes, numbers by their value.
 *
 * @see https://www.mongodb.com/docs/manual/reference/operator/update/ ("Update Operators … lexicographic order")
 */
export function comparePathNames(a: string, b: string): number {
  if (isArrayIndex(a) && isArrayIndex(b)) {
    const [left, right] = [BigInt(a), BigInt(b)];
    if (left !== right) return left < right ? -1 : 1;
  }
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
