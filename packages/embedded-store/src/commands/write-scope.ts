import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import type { Engine } from '../engine';
import type { Collection } from '../storage/catalog';
import type { WriteTarget } from '../storage/records';
import type { Source } from '../storage/selection-spec';

/**
 * The progress of a write command. When the command is interrupted between two statements, it is stored together
 * with the changes so far, so that a retry after a crash continues after them.
 */
export class WriteProgress {
  /** Position of the next statement. */
  next = 0;
  matched = 0;
  modified = 0;
  upserted: Document[] = [];
  errors: Document[] = [];

  static read(document: Document): WriteProgress {
    const progress = new WriteProgress();
    progress.next = (document.get('next') as Int32).value;
    progress.matched = (document.get('matched') as Int32).value;
    progress.modified = (document.get('modified') as Int32).value;
    progress.upserted = document.get('upserted') as Document[];
    progress.errors = document.get('errors') as Document[];
    return progress;
  }

  toDocument(): Document {
    return new Map<string, Value>([
      ['next', new Int32(this.next)],
      ['matched', new Int32(this.matched)],
      ['modified', new Int32(this.modified)],
      ['upserted', this.upserted],
      ['errors', this.errors],
    ]);
  }
}

/** What the statements of a write command work on. */
export interface WriteScope {
  engine: Engine;
  target: WriteTarget;
  source: Source;
  now: Date;
  bypassValidation: boolean;
  progress: WriteProgress;
  /** Whether the time slice of this write is over, so that it should let others run. */
  timeSliceIsOver(): boolean;
  /** A collection as this write sees it. */
  find(database: string, name: string): Collection | undefined;
}
