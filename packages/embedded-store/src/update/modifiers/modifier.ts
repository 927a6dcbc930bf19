import type { Collator } from '../../query/collation';
import type { Value } from '../../bson/types';
import type { Leaf } from '../tree';

/** What the operators of an update share. */
export interface ModifierOptions {
  readonly collator: Collator | undefined;
}

/**
 * Makes an update operator for one path.
 *
 * @param path The path as written, for messages.
 * @throws StoreError if the argument is not what the operator takes.
 */
export type Modifier = (path: string, argument: Value, options: ModifierOptions) => Leaf;
