import type { Plan } from '../index/plan';
import type { Environment } from './environment';
import type { Records } from './records';
import type { StoredDocument } from './stored-document';

/** The parts of the store that a scan uses. */
export interface ScanServices {
  environment: Environment;
  records: Records;
}

/** A document that a scan found; `matched` if the bounds alone prove that it matches the filter. */
export interface ScanItem {
  stored: StoredDocument;
  score: number | undefined;
  matched: boolean;
}

/** The numbers of keys and documents that a scan has examined so far, for explain. */
export interface ScanStatistics {
  keys: number;
  documents: number;
}

/** The documents that a plan finds, in its order. */
export interface PlanScan {
  readonly plan: Plan | undefined;
  readonly statistics: ScanStatistics;
  providesSort: boolean;
  next(): ScanItem | undefined;
  pause(): void;
  /**
   * Skips one matching document without reading it; returns whether there was one. Only defined when every document
   * of the scan matches.
   */
  skipOne?(): boolean;
  /** Work before the first document; yields ticks. */
  prepare?(): Iterable<undefined>;
  /** For text searches: the score of a document that is not in the index; undefined if it does not match. */
  scoreOf?(stored: StoredDocument): number | undefined;
}
