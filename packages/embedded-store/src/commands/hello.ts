import { Int32, ObjectId } from 'bson';
import { fromPlain } from '../bson/codec';
import type { Document } from '../bson/types';
import { SESSION_TIMEOUT_MINUTES } from '../session/sessions';
import { MAX_MESSAGE_BYTES } from '../wire/protocol';
import { checkClientMetadata } from './client-metadata';
import type { Command, CommandContext } from './command';

/**
 * The wire version of MongoDB 8.0, which tells drivers that the server has the `bulkWrite` command and a `sort` for updates.
 * Nothing else in the protocol depends on the versions after 21 (MongoDB 7.0); the next features come with 27 (8.2).
 */
const MAX_WIRE_VERSION = 25;
/** The name of the replica set with one member that the store says it is. */
export const REPLICA_SET = 'parley';
const PROCESS_ID = new ObjectId();

/**
 * The handshake of drivers (https://www.mongodb.com/docs/manual/reference/command/hello/): a primary of a replica
 * set with one member, so that sessions and transactions are used. `topologyVersion` is left out, because drivers
 * that see it request streamed replies.
 */
export function hello(context: CommandContext, primaryField: 'isWritablePrimary' | 'ismaster'): Document {
  const { address } = context.engine;
  checkClientMetadata(context.args.command.get('client'), context.connection);
  return fromPlain({
    helloOk: true,
    [primaryField]: true,
    secondary: false,
    setName: REPLICA_SET,
    setVersion: new Int32(1),
    hosts: [address],
    primary: address,
    me: address,
    electionId: PROCESS_ID,
    maxBsonObjectSize: new Int32(16 * 1024 * 1024),
    maxMessageSizeBytes: new Int32(MAX_MESSAGE_BYTES),
    maxWriteBatchSize: new Int32(100_000),
    localTime: new Date(),
    logicalSessionTimeoutMinutes: new Int32(SESSION_TIMEOUT_MINUTES),
    connectionId: new Int32(context.connection.id),
    minWireVersion: new Int32(0),
    maxWireVersion: new Int32(MAX_WIRE_VERSION),
    readOnly: false,
  }) as Document;
}

export const helloCommand: Command = { run: (context) => hello(context, 'isWritablePrimary') };
export const legacyHelloCommand: Command = { run: (context) => hello(context, 'ismaster') };

export const pingCommand: Command = { run: () => new Map() };

/** The version in buildInfo: that of the MongoDB whose rules for queries and updates the store follows. */
export const VERSION = '7.0.0';

export const buildInfoCommand: Command = {
  run: () =>
    fromPlain({
      version: VERSION,
      gitVersion: 'parley-embedded-store',
      modules: ['parley-embedded-store'],
      sysInfo: 'deprecated',
      versionArray: [7, 0, 0, 0].map((part) => new Int32(part)),
      bits: new Int32(64),
      debug: false,
      maxBsonObjectSize: new Int32(16 * 1024 * 1024),
      storageEngines: ['lmdb'],
    }) as Document,
};

export const connectionStatusCommand: Command = {
  run: () => fromPlain({ authInfo: { authenticatedUsers: [], authenticatedUserRoles: [] } }) as Document,
};
