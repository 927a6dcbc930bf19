import type { Document } from '../bson/types';
import type { Collator } from '../query/collation';
import type { Filter } from '../query/matcher';
import type { Sort } from '../query/sort';
import type { Collection, IndexState } from './catalog';
import type { StoredDocument } from './stored-document';
import type { CurrentView } from './scanner';

/** Which documents of a collection to select, and in which order. */
export interface SelectionSpec {
  filterDocument: Document;
  filter: Filter;
  sortDocument: Document | undefined;
  sort: Sort | undefined;
  projection: Document | undefined;
  skip: number;
  limit: number | undefined;
  hint: Document | string | undefined;
  min: Document | undefined;
  max: Document | undefined;
  collator: Collator | undefined;
  allowDiskUse: boolean;
}

/** A selected document with its text score, if the filter has a `$text`. */
export interface Selected {
  stored: StoredDocument;
  score: number | undefined;
}

/** The source of a selection: a view, and the changes of an open transaction on top of it. */
export interface Source extends CurrentView {
  transaction?: TransactionChanges;
}

/** The changed documents of one collection by record id; undefined means deleted. */
export type Changes = ReadonlyMap<number, StoredDocument | undefined>;

/** What a selection needs to know about an open transaction. */
export interface TransactionChanges {
  /** The changes to a collection, which reads apply on top of the snapshot. */
  changes(collection: Collection): Changes | undefined;
  /** The documents that have a key of a unique index in the snapshot, or have gained it in the transaction. */
  holders(collection: Collection, index: IndexState, key: Buffer): number[];
}

/** A selection without conditions, to which the caller adds its own. */
export function selectAll(filterDocument: Document, filter: Filter): SelectionSpec {
  return {
    filterDocument,
    filter,
    sortDocument: undefined,
    sort: undefined,
    projection: undefined,
    skip: 0,
    limit: undefined,
    hint: undefined,
    min: undefined,
    max: undefined,
    collator: undefined,
    allowDiskUse: false,
  };
}
