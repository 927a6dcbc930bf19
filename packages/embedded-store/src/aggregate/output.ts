import type { Value } from '../bson/types';
import type { Expression } from './expression';

/** Where a pipeline writes its documents instead of returning them. */
export type Output = OutOutput | MergeOutput;

/** $out: the documents replace those of the collection. The default database is that of the pipeline. */
interface OutOutput {
  kind: 'out';
  database: string | undefined;
  collection: string;
}

/** $merge: each document is merged with the one that has equal `on` fields, or inserted. */
export interface MergeOutput {
  kind: 'merge';
  database: string | undefined;
  collection: string;
  on: string[];
  onGiven: boolean;
  whenMatched: 'replace' | 'keepExisting' | 'merge' | 'fail' | 'pipeline';
  /** The stages of whenMatched, if it is a pipeline. */
  update: Value[] | undefined;
  /** The `let` variables of that pipeline. */
  bindings: ReadonlyMap<string, Expression>;
  whenNotMatched: 'insert' | 'discard' | 'fail';
}
