import { Timestamp } from 'bson';
import { ValueSet } from '../aggregate/value-set';
import { splitPath, visitPath } from '../bson/paths';
import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import { Selection } from '../storage/selection';
import type { Command } from './command';
import { readHint } from './find';
import { collectionName, findCollection } from './namespaces';
import { EMPTY, readAll, withSource } from './reading';
import { collationOf, statementSpec } from './writing';

const FIELDS = new Set(['distinct', 'key', 'query', 'collation', 'hint']);
const MAX_REPLY_BYTES = 16 * 1024 * 1024;

/** https://www.mongodb.com/docs/manual/reference/command/distinct/ */
export const distinctCommand: Command = {
  inTransaction: true,
  readsSnapshots: true,
  async run(context) {
    const { args, engine } = context;
    args.allow(FIELDS);
    const name = collectionName(context, 'distinct');
    const path = splitPath(args.requiredString('key'));
    const collection = findCollection(context, name);
    const collator = compileCollation(collationOf(collection, args.document('collation')));
    const spec = statementSpec(args.document('query') ?? EMPTY, collator, undefined, readHint(args));
    const values: Value[] = [];
    const { held } = context;
    const reply = new Map<string, Value>([['values', values]]);
    if (held) reply.set('atClusterTime', new Timestamp(held.time));
    if (!collection) return reply;
    const seen = new ValueSet(collator);
    let bytes = 0;
    await withSource(context, (source) => {
      const selection = new Selection(engine, collection, spec, source);
      return readAll(selection, context.operation, ({ stored }) => {
        visitPath(stored.document, path, (value) => {
          for (const element of Array.isArray(value) ? value : [value]) {
            if (element === undefined || !seen.add(element)) continue;
            values.push(element);
            bytes += typeof element === 'string' ? element.length : 16;
            if (bytes > MAX_REPLY_BYTES) throw new StoreError(17217, 'distinct too big, 16mb cap');
          }
          return false;
        });
      });
    });
    return reply;
  },
};
