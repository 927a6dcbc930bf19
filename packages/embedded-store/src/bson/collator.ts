import type { Document } from './types';

/** How strings compare under a collation other than simple binary comparison. */
export interface Collator {
  /** The collation with all its options filled in, as listIndexes shows it. */
  readonly spec: Document;
  /** Negative, zero or positive; 0 for strings that are equal under the collation. */
  compare(a: string, b: string): number;
  /** A form of the string that is equal exactly when the strings are equal; its order has no meaning. */
  key(s: string): string;
}
