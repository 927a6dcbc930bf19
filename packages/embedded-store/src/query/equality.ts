import { Double, Int32, Long, ObjectId, Timestamp } from 'bson';
import { compareValues, typeOrder } from '../bson/compare';
import { decodeFields } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { RecentMap } from '../recent-map';
import type { Node } from './ast';
import { positionOf } from './evaluate';
import type { Filter } from './filter';
import { parseFilter } from './parse';

/**
 * Filters such as `{_id, revision: 7}`: each condition requires a top-level field to be equal to a plain value. Most
 * statements of an application have one of a few such filters, with other values each time, so what depends only on the
 * names and kinds of values is found once for each shape.
 */
export interface EqualityShape {
  /** The names of the fields, in the order of the filter. */
  readonly names: readonly string[];
  /** A character for each value: whether it is a string, which the collation of an index affects. */
  readonly kinds: string;
  readonly fields: ReadonlySet<string>;
}

/** A compiled filter of equalities. */
export interface EqualityFilter extends Filter {
  readonly shape: EqualityShape;
  /** The values, in the order of `shape.names`. */
  readonly values: readonly Value[];
}

const MAX_SHAPES = 1_000;
const MAX_FIELDS = 8;
/** Longer names are not worth a shape, and would make the cache large. */
const MAX_NAME = 64;
const shapes = new RecentMap<string, EqualityShape>(MAX_SHAPES);
/** The shape of the last filter: the statements of one command mostly have the same. */
let last: EqualityShape | undefined;

/** How values of a type are written in the name of a shape; undefined for a value that is not plain. */
function kindOf(value: Value): 's' | 'v' | undefined {
  if (typeof value === 'string') return 's';
  if (typeof value === 'boolean') return 'v';
  if (value instanceof ObjectId || value instanceof Int32 || value instanceof Date) return 'v';
  if (value instanceof Double) return Number.isNaN(value.value) ? undefined : 'v';
  // A Timestamp is an instance of Long.
  return value instanceof Long && !(value instanceof Timestamp) ? 'v' : undefined;
}

/**
 * Compiles a filter without a collation if it consists of such equalities; undefined for any other filter. The result
 * matches the same documents as that of `compileFilter`.
 */
export function equalityFilter(document: Document): EqualityFilter | undefined {
  if (document.size === 0 || document.size > MAX_FIELDS) return undefined;
  const names: string[] = [];
  const values: Value[] = [];
  let kinds = '';
  for (const [name, value] of document) {
    const kind = kindOf(value);
    if (kind === undefined || name.length > MAX_NAME) return undefined;
    kinds += kind;
    names.push(name);
    values.push(value);
  }
  if (kinds !== last?.kinds || !isSame(names, last.names)) {
    const id = `${kinds}\0${names.join('\0')}`;
    let shape = shapes.get(id);
    if (shape === undefined) {
      if (names.some((name) => name.startsWith('$') || name.includes('.'))) return undefined;
      shapes.set(id, (shape = { kinds, names, fields: new Set(names) }));
    }
    last = shape;
  }
  return new Equalities(document, last, values);
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return a.length === b.length;
}

/** Whether a filter was made by `equalityFilter`. */
export function isEqualityFilter(filter: Filter): filter is EqualityFilter {
  return filter instanceof Equalities;
}

class Equalities implements EqualityFilter {
  #root: Node | undefined;

  constructor(
    private readonly document: Document,
    readonly shape: EqualityShape,
    readonly values: readonly Value[],
  ) {}

  get root(): Node {
    return (this.#root ??= parseFilter(this.document));
  }

  get fields(): ReadonlySet<string> {
    return this.shape.fields;
  }

  matches(document: Document): boolean {
    const { names } = this.shape;
    for (let i = 0; i < names.length; i++) {
      if (!matchesValue(document.get(names[i] as string), this.values[i] as Value)) return false;
    }
    return true;
  }

  matchesBytes(bytes: Uint8Array): boolean {
    return this.matches(decodeFields(bytes, this.fields));
  }

  positional(document: Document): number | undefined {
    return positionOf(this.root, document);
  }
}

/** Whether a field has a value, or is an array with it. */
function matchesValue(value: Value | undefined, wanted: Value): boolean {
  if (!Array.isArray(value)) return equalTo(value, wanted);
  for (const item of value) if (equalTo(item, wanted)) return true;
  return false;
}

function equalTo(value: Value | undefined, wanted: Value): boolean {
  if (value === wanted) return true;
  if (value instanceof Int32 && wanted instanceof Int32) return value.value === wanted.value;
  return typeOrder(value) === typeOrder(wanted) && compareValues(value, wanted) === 0;
}
