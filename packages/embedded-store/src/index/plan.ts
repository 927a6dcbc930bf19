import type { Value } from '../bson/types';
import type { CompiledIndex } from './definition';

/**
 * A half-open range of encoded keys. In a merge, `skip` is the number of leading bytes that are the same for the
 * whole range and not part of the sort.
 */
export interface KeyRange {
  lower: Buffer;
  upper: Buffer;
  skip: number;
}

export interface IndexScan {
  stage: 'IXSCAN';
  index: CompiledIndex;
  /** In ascending key order; a reverse scan reads them, and the keys in each, from the end. */
  ranges: KeyRange[];
  reverse: boolean;
  /** The filter still has to be applied to the documents. */
  residual: boolean;
  /** The scan returns the documents in the requested order. */
  providesSort: boolean;
  /** The ranges are merged by their keys without the first `skip` bytes. */
  mergeSort: boolean;
  /** A document can be found more than once; only the first time counts. */
  deduplicate: boolean;
  /** The keys that it looks up, if all fields of the index are bounded to single values. */
  keys: readonly Buffer[] | undefined;
}

/** One document by its `_id`; `key` is the whole encoded key in the `_id_` index. */
export interface IdLookup {
  stage: 'IDHACK';
  id: Value;
  key: Buffer;
  residual: boolean;
  providesSort: true;
}

export interface CollectionScan {
  stage: 'COLLSCAN';
  reverse: boolean;
  residual: boolean;
  providesSort: boolean;
}

/** The text index serves the $text clause for the documents with these values in its leading fields. */
interface TextScan {
  stage: 'TEXT';
  index: CompiledIndex;
  prefix: Value[];
  residual: boolean;
  providesSort: boolean;
}

/** Documents of any of several scans, each once. */
export interface UnionScan {
  stage: 'OR';
  branches: (IndexScan | IdLookup)[];
  residual: true;
  providesSort: boolean;
  deduplicate: true;
}

/** Nothing can match. */
interface NoScan {
  stage: 'EOF';
  residual: false;
  providesSort: true;
}

export type Plan = IndexScan | IdLookup | CollectionScan | TextScan | UnionScan | NoScan;
