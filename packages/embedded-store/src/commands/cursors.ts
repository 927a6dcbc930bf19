import { Long, Timestamp } from 'bson';
import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import { cursorReply } from '../wire/raw';
import type { Command } from './command';
import { collectionName } from './namespaces';

/** https://www.mongodb.com/docs/manual/reference/command/getMore/ */
export const getMoreCommand: Command = {
  inTransaction: true,
  async run(context) {
    const { args, engine, database } = context;
    args.allow(new Set(['getMore', 'collection', 'batchSize', 'term', 'lastKnownCommittedOpTime']));
    const id = cursorId(args.any('getMore'));
    if (id === undefined) throw new StoreError('TypeMismatch', "Field 'getMore' must be of type long");
    const namespace = `${database}.${args.requiredString('collection')}`;
    const batchSize = args.integer('batchSize', 0) || undefined;
    const cursor = engine.cursors.get(id, namespace);
    if (cursor.busy) throw new StoreError('CursorInUse', `cursor id ${id} is already in use`);
    cursor.busy = true;
    try {
      const { documents, ended } = await cursor.source.next(batchSize, context.operation);
      if (ended) engine.cursors.remove(id);
      return cursorReply({ batch: 'nextBatch', documents, id: ended ? 0n : id, namespace });
    } catch (error) {
      engine.cursors.remove(id);
      throw error;
    } finally {
      cursor.busy = false;
      cursor.lastUsed = Date.now();
    }
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/killCursors/ */
export const killCursorsCommand: Command = {
  inTransaction: true,
  run(context) {
    const { args, engine } = context;
    collectionName(context, 'killCursors');
    const killed: Value[] = [];
    const unknown: Value[] = [];
    for (const value of args.requiredArray('cursors')) {
      const id = cursorId(value);
      if (id === undefined) {
        throw new StoreError('FailedToParse', "Field 'cursors' contains an element that is not of type long");
      }
      (engine.cursors.remove(id) ? killed : unknown).push(Long.fromBigInt(id));
    }
    return new Map<string, Value>([
      ['cursorsKilled', killed],
      ['cursorsNotFound', unknown],
      ['cursorsAlive', []],
      ['cursorsUnknown', []],
    ]);
  },
};

/** MongoDB accepts an id as a long only, not as another number of the same value. */
function cursorId(value: Value | undefined): bigint | undefined {
  return value instanceof Long && !(value instanceof Timestamp) ? value.toBigInt() : undefined;
}
