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
  /** The results of the operations of a `bulkWrite`; undefined for other commands. */
  bulk: BulkProgress | undefined;

  /** Whether a statement has failed. */
  get hasErrors(): boolean {
    return this.errors.length > 0 || (this.bulk?.counts.nErrors ?? 0) > 0;
  }

  static read(document: Document): WriteProgress {
    const progress = new WriteProgress();
    progress.next = (document.get('next') as Int32).value;
    progress.matched = (document.get('matched') as Int32).value;
    progress.modified = (document.get('modified') as Int32).value;
    progress.upserted = document.get('upserted') as Document[];
    progress.errors = document.get('errors') as Document[];
    const bulk = document.get('bulk');
    if (bulk instanceof Map) progress.bulk = BulkProgress.read(bulk);
    return progress;
  }

  toDocument(): Document {
    return new Map<string, Value>([
      ['next', new Int32(this.next)],
      ['matched', new Int32(this.matched)],
      ['modified', new Int32(this.modified)],
      ['upserted', this.upserted],
      ['errors', this.errors],
      ...(this.bulk ? [['bulk', this.bulk.toDocument()] as const] : []),
    ]);
  }
}

const COUNTS = ['nErrors', 'nInserted', 'nMatched', 'nModified', 'nUpserted', 'nDeleted'] as const;

/** What the operations of a `bulkWrite` have done so far. */
export class BulkProgress {
  /** The counts of the reply, in its order. */
  readonly counts: Record<(typeof COUNTS)[number], number> = {
    nErrors: 0,
    nInserted: 0,
    nMatched: 0,
    nModified: 0,
    nUpserted: 0,
    nDeleted: 0,
  };
  /** The items of the reply. */
  items: Document[] = [];
  /** About how many bytes the items have. */
  itemBytes = 0;

  static read(document: Document): BulkProgress {
    const progress = new BulkProgress();
    for (const name of COUNTS) progress.counts[name] = (document.get(name) as Int32).value;
    progress.items = document.get('items') as Document[];
    progress.itemBytes = (document.get('itemBytes') as Int32).value;
    return progress;
  }

  toDocument(): Document {
    return new Map<string, Value>([
      ...this.countFields(),
      ['items', this.items],
      ['itemBytes', new Int32(this.itemBytes)],
    ]);
  }

  /** The counts as fields of the reply. */
  countFields(): [string, Value][] {
    return COUNTS.map((name) => [name, new Int32(this.counts[name])]);
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
