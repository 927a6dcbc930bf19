import { findRunningStore, inspectStore, startEmbeddedStore } from '@parley/embedded-store';
import { setTimeout as delay } from 'node:timers/promises';
import {
  MongoClient,
  MongoServerError,
  type ConnectionCheckedInEvent,
  type ConnectionCheckedOutEvent,
  type Db,
} from 'mongodb';
import { collectionsOf, type Collections } from './collections';
import { MIGRATIONS } from './migrations';
import { finishMigrations, prepareDatabase } from './migrations/runner';
import { SchemaState } from './migrations/schema-state';
import { requireNoUnfinishedRestore } from './restore-marker';
import { inTime } from '../utils/in-time';
import { createLogger, type Logger } from '../utils/logger';
import { createTransactions, type Transactions } from './transaction';

export { inspectStore };

/** How long the database may take to answer before it counts as lost when it is closed. */
const LOST_AFTER_MS = 2000;
/** How long closing the connections to a lost database may take. */
const CLOSE_LOST_TIMEOUT_MS = 250;

/** The open database. */
export interface Database {
  db: Db;
  collections: Collections;
  /** Counts the writes of this process to what decides who may write to a channel (see `collectionsOf`). */
  accessVersion: () => number;
  /** Calls back after each of these writes, which waits for it. @returns a function that removes the listener. */
  onAccessWritten(listener: () => Promise<void>): () => void;
  /** Whether no other process writes to the database. */
  isSoleWriter: boolean;
  transactions: Transactions;
  /** The location of the data, for display: the folder of the embedded store, or the server without credentials. */
  location: string;
  /** Whether it is the embedded store of this process, which no other process can use. */
  isEmbedded: boolean;
  /** The schema version of this program: it writes documents in the form of this migration. */
  schemaVersion: number;
  /** @throws DatabaseTooNewError if a newer version has migrated the database so that this one may not use it any more */
  assertSupported(): Promise<void>;
  /**
   * Does the same, and lets a newer version repeat its migrations for what this program writes from now on. Call it after the
   * program has been registered as a node.
   */
  admit(): Promise<void>;
  /** Does what waits for the last node of an older version to end (see `finishMigrations`). */
  finishMigrations(): Promise<void>;
  /** Resolves when the database answers. */
  ping(): Promise<void>;
  /** Registers a listener for the unexpected end of the embedded store, after which nothing can be read or written. */
  onLost(listener: (error: Error) => void): void;
  /** Calls back for each command. @returns a function that removes the listener. */
  onCommand(listener: CommandListener): () => void;
  /** Returns the size of the database in bytes: its documents, their files on the disk, and the indexes. */
  size(): Promise<{ data: number; storage: number; indexes: number }>;
  /**
   * Closes the connections if the database does not answer, so that commands that wait for it fail at once.
   * @param timeoutMs how long it may take to answer, if that is less than the default.
   */
  closeIfLost(timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Observes the commands that are sent to the database. */
export interface CommandListener {
  started(): void;
  /** @param milliseconds from the sending of a command until its answer or failure. */
  ended(milliseconds: number): void;
}

export interface DatabaseOptions {
  /** The address of MongoDB; undefined for the embedded store in `dataDir`. */
  uri: string | undefined;
  name: string;
  dataDir: string;
  /** Whether this process alone writes to the database. It is always so with the embedded store that it starts. */
  soleWriter?: boolean;
  /** Whether the client emits an event for each command, which makes commands slower by some microseconds. */
  monitorCommands?: boolean;
  /** False writes with one command for each collection, as on MongoDB before 8.0: for tests. */
  bulkWrite?: boolean;
  /** How long to look for a server that can be used, in milliseconds. */
  selectionTimeoutMs?: number;
  /** Whether to use the embedded store of another process, if one serves `dataDir` at this moment. */
  attach?: boolean;
  /** The log of migrations. */
  logger?: Logger;
}

/** Connects to the database, creates its indexes, runs its migrations, and opens its collections. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const connection = await connectDatabase(options);
  const { client, db, store } = connection;
  try {
    await requireNoUnfinishedRestore(db);
    const logger = options.logger ?? createLogger('silent');
    const isEmbedded = store !== undefined;
    await prepareDatabase(db, logger, { isOnlyProcess: isEmbedded });
    const schema = new SchemaState(db, MIGRATIONS);
    let accessWrites = 0;
    const accessListeners = new Set<() => Promise<void>>();
    const accessWritten = (): void | Promise<void> => {
      accessWrites++;
      if (accessListeners.size === 0) return;
      return Promise.all([...accessListeners].map((listener) => listener())).then(() => undefined);
    };
    return {
      db,
      collections: collectionsOf(db, accessWritten),
      accessVersion: () => accessWrites,
      onAccessWritten: (listener) => {
        accessListeners.add(listener);
        return () => void accessListeners.delete(listener);
      },
      isSoleWriter: options.soleWriter === true || isEmbedded,
      transactions: await createTransactions(client, options.bulkWrite),
      isEmbedded,
      schemaVersion: schema.version,
      assertSupported: () => schema.assertSupported(),
      admit: async () => {
        await schema.admit();
      },
      finishMigrations: () => finishMigrations(db, logger),
      location: store ? options.dataDir : client.options.hosts.join(', '),
      ping: async () => {
        await db.command({ ping: 1 });
      },
      onLost: (listener) => store?.onExit(listener),
      onCommand: (listener) => observeCommands(client, listener),
      size: async () => {
        const { dataSize, storageSize, indexSize } = await db.stats();
        return { data: Number(dataSize), storage: Number(storageSize), indexes: Number(indexSize) };
      },
      closeIfLost: async (timeoutMs = LOST_AFTER_MS) => {
        const ping = db.command({ ping: 1 }).then(() => true);
        const isAlive = await Promise.race([
          ping.catch(() => false),
          delay(Math.min(timeoutMs, LOST_AFTER_MS), false, { ref: false }),
        ]);
        // It fails the commands that wait at once, but may itself wait for a server that does not answer.
        if (!isAlive) await inTime(client.close(), CLOSE_LOST_TIMEOUT_MS);
      },
      close: () => connection.close(),
    };
  } catch (error) {
    await connection.close().catch(() => undefined);
    throw error;
  }
}

/** A connection to a database that has not been prepared. */
export interface Connection {
  client: MongoClient;
  db: Db;
  /** Undefined with a MongoDB server, and with the embedded store of another process. */
  store: Awaited<ReturnType<typeof startEmbeddedStore>> | undefined;
  close: () => Promise<void>;
}

/**
 * Connects to MongoDB, or starts the embedded store and connects to that.
 * A write is acknowledged when a majority has it in the journal, on disk.
 */
export async function connectDatabase(options: DatabaseOptions): Promise<Connection> {
  const running = options.attach ? findRunningStore(options.dataDir) : undefined;
  const uri = options.uri ?? running;
  const store = uri === undefined ? await startEmbeddedStore({ dataDir: options.dataDir }) : undefined;
  const client = new MongoClient(store?.uri ?? uri ?? '', {
    appName: 'parley',
    monitorCommands: options.monitorCommands ?? false,
    writeConcern: { w: 'majority', journal: true },
    readConcernLevel: 'majority',
    maxPoolSize: 50,
    serverSelectionTimeoutMS: options.selectionTimeoutMs ?? 10_000,
  });
  const close = async () => {
    await client.close().finally(() => store?.close());
  };
  try {
    await client.connect();
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
  return { client, db: client.db(options.name), store, close };
}

/**
 * Observes the commands of a client by the use of its connections: the driver takes one from its pool for each command. It
 * emits these events in any case, whereas `commandStarted` and `commandSucceeded` require `monitorCommands`, with which the
 * driver decodes every answer twice.
 * @returns a function that removes the listener.
 */
function observeCommands(client: MongoClient, listener: CommandListener): () => void {
  /** When each connection in use was taken, by server and id. */
  const since = new Map<string, Map<unknown, number>>();
  const onStart = ({ address, connectionId }: ConnectionCheckedOutEvent) => {
    let connections = since.get(address);
    if (!connections) since.set(address, (connections = new Map<unknown, number>()));
    connections.set(connectionId, performance.now());
    listener.started();
  };
  const onEnd = ({ address, connectionId }: ConnectionCheckedInEvent) => {
    const connections = since.get(address);
    const start = connections?.get(connectionId);
    if (start === undefined) return;
    connections?.delete(connectionId);
    listener.ended(performance.now() - start);
  };
  client.on('connectionCheckedOut', onStart).on('connectionCheckedIn', onEnd);
  return () => void client.off('connectionCheckedOut', onStart).off('connectionCheckedIn', onEnd);
}

/** The name of the unique index that refused a write, or undefined if the error is another one. */
export function duplicateIndex(error: unknown): string | undefined {
  if (!(error instanceof MongoServerError) || error.code !== 11000) return undefined;
  return /index: ([^\s]+)/.exec(error.message)?.[1] ?? '';
}
