import { Int32, Long } from 'bson';
import type { Document, Value } from '../bson/types';
import { compileCollation } from '../query/collation';
import { Selection } from '../storage/selection';
import type { Command, CommandContext } from './command';
import { readHint } from './find';
import { collectionName, findCollection } from './namespaces';
import { EMPTY, TimeSlice, readAll, withSource } from './reading';
import { collationOf, statementSpec } from './writing';

const FIELDS = new Set(['count', 'query', 'limit', 'skip', 'hint', 'collation', 'fields']);

/** https://www.mongodb.com/docs/manual/reference/command/count/ */
export const countCommand: Command = {
  async run(context) {
    const { args, engine } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'count');
    const query = args.document('query') ?? EMPTY;
    const collection = findCollection(context, name);
    const collator = compileCollation(collationOf(collection, args.document('collation')));
    const spec = statementSpec(query, collator, undefined, readHint(args));
    // A negative limit means the same as its absolute value.
    const limit = Math.abs(args.integer('limit') ?? 0) || undefined;
    const skip = args.integer('skip', 0) ?? 0;
    if (!collection) return countReply(0);
    if (query.size === 0)
      return countReply(Math.min(limit ?? Infinity, Math.max(0, collection.count - skip)));
    let n = 0;
    await withSource(context, (source) => {
      const selection = new Selection(engine, collection, { ...spec, skip, limit }, source);
      return selection.canSkip && skip === 0
        ? countKeys(selection, context, () => void n++)
        : readAll(selection, context.operation, () => void n++);
    });
    return countReply(n);
  },
};

/** Counts from the index, without reading documents. */
async function countKeys(
  selection: Selection,
  { operation }: CommandContext,
  add: () => void,
): Promise<void> {
  const timeSlice = new TimeSlice(operation);
  for (let seen = 1; selection.skipOne(); seen++) {
    add();
    if (seen % 256 === 0 && timeSlice.isOver) await timeSlice.next();
  }
}

function countReply(n: number): Document {
  return new Map<string, Value>([['n', n < 2 ** 31 ? new Int32(n) : Long.fromNumber(n)]]);
}
