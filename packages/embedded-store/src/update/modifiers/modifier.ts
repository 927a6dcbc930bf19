import type { Collator } from '../../query/collation';
import type { Value } from '../../bson/types';
import type { Leaf } from '../tree';

/** The common inputs of the operators of an update. */
export interface ModifierOptions {
  readonly collator: Collator | undefined;
}

/**
 * Makes an update operator for one path.
 *
 * @param path The path as written, for messages.
 * @throws StoreError if the operator does not accept the argument.
 */
export type Modifier = (path: string, argument: Value, options: ModifierOptions) => Leaf;
