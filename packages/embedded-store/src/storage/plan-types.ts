import type { Plan } from '../index/plan';
import type { Environment } from './environment';
import type { Records, StoredDocument } from './records';

/** What a scan reads with. */
export interface ScanServices {
  environment: Environment;
  records: Records;
}

/** A document that a scan found; `matched` where the bounds alone prove that it fits the filter. */
export interface ScanItem {
  stored: StoredDocument;
  score: number | undefined;
  matched: boolean;
}

/** How much a scan has looked at so far, for explain. */
export interface ScanStatistics {
  keys: number;
  documents: number;
}

/** The documents that a plan reaches, in its order. */
export interface PlanScan {
  readonly plan: Plan | undefined;
  readonly statistics: ScanStatistics;
  providesSort: boolean;
  next(): ScanItem | undefined;
  pause(): void;
  /**
   * Goes past one matching document without reading it; tells whether there was one. Only there where every
   * document of the scan matches.
   */
  skipOne?(): boolean;
  /** Work before the first document, with a tick now and then. */
  prepare?(): Iterable<undefined>;
  /** For text searches: the score of a document that the index does not have; undefined if it is not found. */
  scoreOf?(stored: StoredDocument): number | undefined;
}
