import type { Document } from './types';

/** How strings compare under a collation other than simple binary comparison. */
export interface Collator {
  /** The collation with all its options filled in, as listIndexes shows it. */
  readonly spec: Document;
  /** Negative, zero or positive; 0 for all strings that the collation holds equal. */
  compare(a: string, b: string): number;
  /** A form of the string that is equal exactly when the strings compare as equal; its order means nothing. */
  key(s: string): string;
}
