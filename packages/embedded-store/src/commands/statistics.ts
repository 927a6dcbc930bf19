import { Double, Int32, Long } from 'bson';
import { hostname } from 'node:os';
import { fromPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Engine } from '../engine';
import type { Collection } from '../storage/catalog';
import { shareOf, storageBytes } from '../storage/measure';
import type { Command, CommandContext } from './command';
import { VERSION } from './hello';
import { collectionName } from './namespaces';

/** A count or size: an int if it fits, as in MongoDB. */
export function whole(value: number): Int32 | Double {
  return value < 2 ** 31 ? new Int32(Math.round(value)) : new Double(Math.round(value));
}

function scaleOf(context: CommandContext): number {
  const scale = context.args.integer('scale') ?? 1;
  if (scale <= 0) throw new StoreError('BadValue', 'scale has to be > 0');
  return scale;
}

/** https://www.mongodb.com/docs/manual/reference/command/collStats/ */
export const collStatsCommand: Command = {
  run(context) {
    const name = collectionName(context, context.args.name);
    const scale = scaleOf(context);
    return namedStatistics(context, name, scale);
  },
};

/** The reply of collStats, also for the aggregation stage. */
export function namedStatistics(
  { engine, database }: Pick<CommandContext, 'engine' | 'database'>,
  name: string,
  scale: number,
): Document {
  const statistics = collectionStatistics(engine, engine.catalog.find(database, name), scale);
  return new Map<string, Value>([['ns', `${database}.${name}`], ...statistics]);
}

/** The figures of a collection. All indexes share one tree; the size of each is an estimate. */
function collectionStatistics(engine: Engine, collection: Collection | undefined, scale: number): Document {
  if (!collection) {
    return new Map<string, Value>([
      ...(['size', 'count', 'storageSize', 'nindexes', 'totalIndexSize'] as const).map(
        (field): [string, Value] => [field, new Int32(0)],
      ),
      ['indexDetails', new Map()],
      ['indexSizes', new Map()],
    ]);
  }
  const all = allCollections(engine);
  const bytes = storageBytes(engine.environment);
  const storageSize = shareOf(collection, all, bytes.documents);
  const indexes = all.reduce((sum, { indexes: { length }, count }) => sum + length * count, 0);
  const perIndex = indexes === 0 ? 0 : (collection.count / indexes) * bytes.entries;
  return new Map<string, Value>([
    ['size', whole(collection.size / scale)],
    ['count', whole(collection.count)],
    ...(collection.count > 0
      ? [['avgObjSize', whole(collection.size / collection.count)] as [string, Value]]
      : []),
    ['storageSize', whole(storageSize / scale)],
    ['freeStorageSize', new Int32(0)],
    ['capped', false],
    ['nindexes', new Int32(collection.indexes.length)],
    ['indexDetails', new Map()],
    ['indexBuilds', []],
    ['totalIndexSize', whole((perIndex * collection.indexes.length) / scale)],
    ['totalSize', whole((storageSize + perIndex * collection.indexes.length) / scale)],
    [
      'indexSizes',
      new Map<string, Value>(
        collection.indexes.map(({ compiled }) => [compiled.definition.name, whole(perIndex / scale)]),
      ),
    ],
    ['scaleFactor', whole(scale)],
  ]);
}

function allCollections(engine: Engine): Collection[] {
  return engine.catalog.databaseNames().flatMap((name) => engine.catalog.collections(name));
}

/** https://www.mongodb.com/docs/manual/reference/command/dbStats/ */
export const dbStatsCommand: Command = {
  run(context) {
    const { engine, database } = context;
    const scale = scaleOf(context);
    const collections = engine.catalog.collections(database);
    const sum = (field: (collection: Collection) => number) =>
      collections.reduce((total, collection) => total + field(collection), 0);
    const all = allCollections(engine);
    const bytes = storageBytes(engine.environment);
    const entriesOf = (some: Collection[]) =>
      some.reduce((total, { indexes, count }) => total + indexes.length * count, 0);
    const objects = sum(({ count }) => count);
    const dataSize = sum(({ size }) => size);
    const storageSize = sum((collection) => shareOf(collection, all, bytes.documents));
    const indexSize = (entriesOf(collections) / Math.max(1, entriesOf(all))) * bytes.entries;
    return fromPlain({
      db: database,
      collections: whole(collections.length),
      views: whole(0),
      objects: whole(objects),
      avgObjSize: new Double(objects === 0 ? 0 : dataSize / objects),
      dataSize: new Double(dataSize / scale),
      storageSize: new Double(storageSize / scale),
      indexes: whole(sum(({ indexes }) => indexes.length)),
      indexSize: new Double(Math.round(indexSize / scale)),
      totalSize: new Double(Math.round((storageSize + indexSize) / scale)),
      scaleFactor: new Double(scale),
    }) as Document;
  },
};

/** The parts of serverStatus that this store has (https://www.mongodb.com/docs/manual/reference/command/serverStatus/). */
export const serverStatusCommand: Command = {
  run({ engine }) {
    const uptime = (Date.now() - engine.startedAt) / 1000;
    const memory = process.memoryUsage();
    const mebibytes = (bytes: number) => new Int32(Math.round(bytes / 1024 / 1024));
    return fromPlain({
      host: hostname(),
      version: VERSION,
      process: 'parley-embedded-store',
      pid: Long.fromNumber(process.pid),
      uptime: new Double(uptime),
      uptimeMillis: Long.fromNumber(Math.round(uptime * 1000)),
      uptimeEstimate: Long.fromNumber(Math.round(uptime)),
      localTime: new Date(),
      mem: { bits: new Int32(64), resident: mebibytes(memory.rss), virtual: mebibytes(memory.rss) },
      metrics: { cursor: { open: { total: Long.fromNumber(engine.cursors.size) } } },
      logicalSessionRecordCache: { activeSessionsCount: new Int32(engine.sessions.size) },
      storageEngine: { name: 'lmdb', supportsCommittedReads: true, persistent: true },
    }) as Document;
  },
};
