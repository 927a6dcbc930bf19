import type { Value } from '../bson/types';
import type { CompiledIndex } from './definition';

/**
 * A half-open range of encoded keys. In a merge, `skip` is how many bytes at the front of its keys are the same for
 * the whole range and do not belong to the sort.
 */
export interface KeyRange {
  lower: Buffer;
  upper: Buffer;
  skip: number;
}

export interface IndexScan {
  stage: 'IXSCAN';
  index: CompiledIndex;
  /** In ascending key order; a reverse scan takes them, and the keys in each, from the end. */
  ranges: KeyRange[];
  reverse: boolean;
  /** The documents found still have to pass the filter. */
  residual: boolean;
  /** The scan gives the documents in the wanted order. */
  providesSort: boolean;
  /** The order comes about by merging the ranges by their keys without the first `skip` bytes. */
  mergeSort: boolean;
  /** A document can come up more than once; only its first place counts. */
  deduplicate: boolean;
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

/** The text index answers the $text clause among the documents with these values in its leading fields. */
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
