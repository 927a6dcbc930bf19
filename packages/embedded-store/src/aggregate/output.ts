import type { Value } from '../bson/types';
import type { Expression } from './expression';

/** Where the documents of a pipeline go instead of to the client. */
export type Output = OutOutput | MergeOutput;

/** $out: the documents become the collection's only ones. The database is the pipeline's own if not given. */
interface OutOutput {
  kind: 'out';
  database: string | undefined;
  collection: string;
}

/** $merge: each document is put together with the one of equal `on` fields, or added. */
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
