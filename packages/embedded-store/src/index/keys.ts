import type { Document, Value } from '../bson/types';
import type { Collator } from '../query/collation';
import type { CompiledIndex, IndexField } from './definition';
import { KeyWriter } from './encoding';
import { extractTuples } from './extract';
import { componentLimit } from './definition';
import { rawKey, type RawFields } from './raw-key';
import { textKeys, textPostings, textPrefix } from './text-keys';
import type { TextPostings } from './text-keys';

export { compileIndex } from './definition';
export type { CompiledIndex, IndexDefinition } from './definition';
export type { TextPostings } from './text-keys';

/** The distinct keys of one document in one index, sorted. */
export interface IndexEntries {
  keys: Buffer[];
  /** An array is at one of the indexed paths; the index must be marked before it is used again. */
  multikey: boolean;
  /** Which fields have arrays, one bit each. */
  multikeyFields: number;
  /** A key was cut; the index must be marked before it is used again. */
  truncated: boolean;
}

const NONE: IndexEntries = { keys: [], multikey: false, multikeyFields: 0, truncated: false };
const writer = new KeyWriter();

/**
 * Encodes one tuple of values so that the order of the bytes is the order of the tuples. Descending parts are
 * inverted. Under a collator, the bytes are equal when the strings are; their order has no meaning.
 */
export function encodeKey(
  values: readonly (Value | undefined)[],
  directions: readonly number[],
  collator?: Collator,
): Buffer {
  writer.reset();
  const limit = componentLimit(values.length);
  values.forEach((value, i) => writer.component(value, directions[i] === -1, limit, collator));
  return writer.take();
}

/** The key of an `_id` in the `_id_` index. */
export function encodeId(id: Value, collator?: Collator): Buffer {
  return encodeKey([id], [1], collator);
}

/** Whether the partial filter of the index admits a document. */
function included(index: CompiledIndex, document: Document): boolean {
  return index.partial === undefined || index.partial.matches(document);
}

/**
 * The keys of a document in an ordered index; none if a partial or sparse index does not contain the document.
 * Throws CannotIndexParallelArrays.
 */
export function indexEntries(index: CompiledIndex, document: Document): IndexEntries {
  if (!included(index, document)) return NONE;
  if (index.text !== undefined) return { ...NONE, keys: distinct(textKeys(index.text, document)) };
  const { tuples, multikeyFields, exists } = extractTuples(
    document,
    index.fields.map((field) => field.parts),
  );
  if (index.definition.sparse === true && !exists) return NONE;
  let truncated = false;
  const keys = tuples.map((tuple) => {
    const key = encodeTuple(index, tuple);
    truncated ||= writer.truncated;
    return key;
  });
  return { keys: distinct(keys), multikey: multikeyFields !== 0, multikeyFields, truncated };
}

/** The postings of a document in a text index; undefined if the index does not contain it. */
export function textPostingsOf(index: CompiledIndex, document: Document): TextPostings | undefined {
  return index.text && included(index, document) ? textPostings(index.text, document) : undefined;
}

/** The prefix of these postings; undefined if the partial filter does not admit the document. */
export function textPrefixOf(index: CompiledIndex, document: Document): Buffer | undefined {
  return index.text && included(index, document) ? textPrefix(index.text, document) : undefined;
}

/** A document whose keys are made: encoded, with its decoded form for where that is needed. */
export interface KeySource {
  readonly fields: RawFields;
  readonly document: Document;
}

/** The same from an encoded document, without decoding when all indexed fields are top-level scalars of common types. */
export function indexEntriesOfBytes(index: CompiledIndex, source: KeySource): IndexEntries {
  if (index.collator === undefined && !index.isText) {
    if (index.partial !== undefined && !included(index, source.document)) return NONE;
    const key = rawKey(index, source.fields, writer);
    if (key === 'absent') return NONE;
    if (key !== undefined)
      return { keys: [key], multikey: false, multikeyFields: 0, truncated: writer.truncated };
  }
  return indexEntries(index, source.document);
}

function encodeTuple(index: CompiledIndex, tuple: readonly (Value | undefined)[]): Buffer {
  writer.reset();
  for (let i = 0; i < tuple.length; i++) {
    const field = index.fields[i] as IndexField;
    writer.component(tuple[i], field.descending, index.componentLimit, index.collator);
  }
  return writer.take();
}

function distinct(keys: Buffer[]): Buffer[] {
  if (keys.length < 2) return keys;
  keys.sort((a, b) => Buffer.compare(a, b));
  return keys.filter((key, i) => i === 0 || !key.equals(keys[i - 1] as Buffer));
}
