import { splitPath, type Path } from '../bson/paths';
import type { Document } from '../bson/types';
import { compileCollation, type Collator } from '../query/collation';
import { compileFilter, type Filter } from '../query/matcher';
import { DIGEST_BYTES } from './encoding';
import { compileTextIndex, type TextIndex } from '../text/text-index';

type IndexDirection = 1 | -1 | 'text';

/** The options of an index in createIndexes. */
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

/**
 * What is known about the contents of an index. Both flags only change from false to true; they are stored with the
 * index.
 */
export interface IndexState {
  /** Some document has an array at an indexed path. */
  multikey: boolean;
  /** Some key was too long and was cut, so that its exact position is unknown. */
  truncated: boolean;
  /** Which of the fields have arrays, one bit each; all of them when it is undefined. */
  multikeyFields?: number;
}

/** One field of an index key. */
export interface IndexField {
  readonly path: string;
  readonly parts: Path;
  readonly descending: boolean;
}

/** A compiled index, which makes keys and plans queries. */
export interface CompiledIndex extends IndexState {
  readonly definition: IndexDefinition;
  /** The ordered fields; without the text fields of a text index. */
  readonly fields: readonly IndexField[];
  readonly isText: boolean;
  /** The settings of a text index; undefined for other indexes. */
  readonly text: TextIndex | undefined;
  readonly collator: Collator | undefined;
  readonly partial: Filter | undefined;
  /** Bytes of one component before it is cut. */
  readonly componentLimit: number;
  /** Names of the top-level fields on which the keys of a document depend; undefined when they may be all. */
  readonly reads: ReadonlySet<string> | undefined;
}

/**
 * Bytes of an encoded key at most; with the prefix and suffix that storage adds it must fit LMDB's limit of 1978.
 */
export const MAX_KEY_BYTES = 1900;

/** Bytes that one of `fields` components of a key may have before it is cut. */
export function componentLimit(fields: number): number {
  return Math.floor(MAX_KEY_BYTES / Math.max(fields, 1)) - DIGEST_BYTES;
}

/**
 * Compiles an index. `state` is what storage knows about its contents; the caller sets `multikey` and `truncated`
 * of the result when indexEntries reports them.
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
  const filter = definition.partialFilterExpression;
  const partial = filter === undefined ? undefined : compileFilter(filter, { collator, text: false });
  const text = ordered.length < definition.key.length ? compileTextIndex(definition) : undefined;
  return {
    definition,
    fields,
    isText: text !== undefined,
    text,
    collator,
    partial,
    componentLimit: componentLimit(fields.length),
    reads: fieldsRead(fields, partial, text),
    ...state,
  };
}

function fieldsRead(
  fields: readonly IndexField[],
  partial: Filter | undefined,
  text: TextIndex | undefined,
): ReadonlySet<string> | undefined {
  if (text?.wildcard === true || (partial !== undefined && partial.fields === undefined)) return undefined;
  const names = new Set([...fields.map(({ parts }) => parts[0] as string), ...(partial?.fields ?? [])]);
  if (text) {
    names.add(text.languageField);
    for (const path of [...text.weights.keys(), ...text.before, ...text.after]) {
      names.add(splitPath(path)[0] as string);
    }
  }
  return names;
}
