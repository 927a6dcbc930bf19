import type { Document } from '../bson/types';
import type { Node } from './ast';

/** A compiled query filter. */
export interface Filter {
  /** The parsed filter, for the planner. */
  readonly root: Node;
  /** The document of the $text clause, if there is one; the text index serves it, `matches` ignores it. */
  readonly text?: Document;
  /** Names of the top-level fields that the filter reads; undefined when it may read all. */
  readonly fields: ReadonlySet<string> | undefined;
  matches(document: Document): boolean;
  /** Matches stored BSON, and decodes only the fields that the filter reads. */
  matchesBytes(bytes: Uint8Array): boolean;
  /**
   * The matching position in the first array on the path, for positional `$`; undefined when no array was involved.
   */
  positional(document: Document): number | undefined;
}
