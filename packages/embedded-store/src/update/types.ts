import type { Variables } from '../aggregate/expression';
import type { Document, Value } from '../bson/types';
import type { Collator } from '../query/collation';
import type { RawUpdate } from './raw-update';

/** Settings of an update statement. */
export interface UpdateOptions {
  readonly arrayFilters?: readonly Value[] | undefined;
  readonly collator?: Collator | undefined;
  /** The statement's `c` and the command's `let`: constants for a pipeline. */
  readonly variables?: Variables | undefined;
  readonly multi?: boolean | undefined;
}

/** How one document is updated. */
interface UpdateContext {
  /** Index of the array element that the query matched, for `$`. */
  readonly positional?: number | undefined;
  /** Whether the update makes a new document (`upsertDocument` asks for this). */
  readonly insert: boolean;
  readonly now: Date;
}

/** A compiled update. */
export interface Update {
  /** Whether the update is a whole new document instead of operators or a pipeline. */
  readonly replacement: boolean;
  /** Whether the update needs the position of the element that the query matched. */
  readonly positional: boolean;
  /**
   * Returns the updated document, or the same reference if the update changes nothing. The given document is not
   * changed; the two may share parts.
   *
   * @throws StoreError such as PathNotViable, TypeMismatch, ImmutableField.
   */
  apply(document: Document, context: UpdateContext): Document;
  /**
   * The same for an encoded document: returns undefined if the update changes nothing. Only for updates of top-level
   * fields.
   */
  applyToBytes?(bytes: Uint8Array, now: Date): RawUpdate | undefined;
}
