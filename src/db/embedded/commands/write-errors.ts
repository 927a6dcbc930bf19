import { Int32 } from 'bson';
import { fromPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { WriteSteps } from '../storage/writer';
import type { CommandContext } from './command';

/** Errors of single statements, which a write command reports beside what succeeded. */
export class WriteErrors {
  readonly list: Document[] = [];

  constructor(
    private readonly context: CommandContext,
    private readonly ordered: boolean,
  ) {}

  /**
   * Runs the statement at `index`. Tells whether to go on; in a transaction, errors that concern all of it
   * are thrown.
   */
  *guard(index: number, statement: () => WriteSteps<void>): WriteSteps<boolean> {
    try {
      yield* statement();
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (this.context.transaction && error.details.labels) throw error;
      const entry: Document = new Map<string, Value>([
        ['index', new Int32(index)],
        ['code', new Int32(error.code)],
        ['errmsg', error.message],
      ]);
      for (const [name, value] of Object.entries(error.details.extra ?? {}))
        entry.set(name, fromPlain(value));
      this.list.push(entry);
      return !this.ordered && !this.context.transaction;
    }
  }

  /** Adds `writeErrors` to a reply if there are any. */
  addTo(reply: Document): Document {
    if (this.list.length > 0) reply.set('writeErrors', this.list);
    return reply;
  }
}
