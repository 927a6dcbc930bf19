import { splitPath, type Path } from '../bson/paths';
import type { Document } from '../bson/types';
import { compileCollation, type Collator } from '../query/collation';
import { compileFilter, type Filter } from '../query/matcher';
import { DIGEST_BYTES } from './encoding';
import { compileTextIndex, type TextIndex } from '../text/text-index';

type IndexDirection = 1 | -1 | 'text';

/** What createIndexes was told about an index. */
export interface IndexDefinition {
  name: string;
  key: [field: string, direction: IndexDirection][];
  unique?: boolean;
  sparse?: boolean;
  partialFilterExpression?: Document;
  expireAfterSeconds?: number;
  collation?: Document;
  weights?: Document;
  default_language?: string;
  language_override?: string;
}

/** What is known of an index's contents. Both only ever turn true; storage keeps them with the index. */
export interface IndexState {
  /** Some document has an array at an indexed path. */
  multikey: boolean;
  /** Some key was too long and is cut, so that the index does not know its exact place. */
  truncated: boolean;
  /** Which of the fields have arrays, one bit each; all of them when it is not given. */
  multikeyFields?: number;
}

/** One field of an index key. */
export interface IndexField {
  readonly path: string;
  readonly parts: Path;
  readonly descending: boolean;
}

/** An index ready for use: keys are made and queries planned with it. */
export interface CompiledIndex extends IndexState {
  readonly definition: IndexDefinition;
  /** The ordered fields; without the text fields of a text index. */
  readonly fields: readonly IndexField[];
  readonly isText: boolean;
  /** What a text index takes for words; undefined for other indexes. */
  readonly text: TextIndex | undefined;
  readonly collator: Collator | undefined;
  readonly partial: Filter | undefined;
  /** Bytes of one component before it is cut. */
  readonly componentLimit: number;
}

/** Bytes of an encoded key at most; with storage's own prefix and suffix it has to fit LMDB's 1978. */
export const MAX_KEY_BYTES = 1900;

/** Bytes that one of `fields` components of a key may have before it is cut. */
export function componentLimit(fields: number): number {
  return Math.floor(MAX_KEY_BYTES / Math.max(fields, 1)) - DIGEST_BYTES;
}

/**
 * Prepares an index for use. `state` is what storage knows of its contents; the result's `multikey` and
 * `truncated` are to be turned on when indexEntries says so.
 */
export function compileIndex(
  definition: IndexDefinition,
  state: IndexState = { multikey: false, truncated: false },
): CompiledIndex {
  const ordered = definition.key.filter((part) => part[1] !== 'text');
  const fields = ordered.map(([path, direction]) => ({
    path,
    parts: splitPath(path),
    descending: direction === -1,
  }));
  const collator = compileCollation(definition.collation);
  const partial = definition.partialFilterExpression;
  return {
    definition,
    fields,
    isText: ordered.length < definition.key.length,
    text: ordered.length < definition.key.length ? compileTextIndex(definition) : undefined,
    collator,
    partial: partial === undefined ? undefined : compileFilter(partial, { collator, text: false }),
    componentLimit: componentLimit(fields.length),
    ...state,
  };
}
