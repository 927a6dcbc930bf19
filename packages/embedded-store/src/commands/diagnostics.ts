import { Double, Int32, Long } from 'bson';
import { hostname, arch, cpus, totalmem, type as osType } from 'node:os';
import { fromPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Engine } from '../engine';
import type { Command } from './command';
import { REPLICA_SET } from './hello';

/** Commands that shells and graphical clients send when they connect. */

export const getParameterCommand: Command = {
  adminOnly: true,
  run({ args }) {
    const known: Record<string, unknown> = {
      featureCompatibilityVersion: { version: '7.0' },
      ttlMonitorEnabled: true,
      transactionLifetimeLimitSeconds: new Int32(60),
    };
    const all = args.any('getParameter') === '*';
    const reply: Document = new Map();
    for (const [name, value] of Object.entries(known)) {
      if (all || args.has(name)) reply.set(name, fromPlain(value));
    }
    if (reply.size === 0) throw new StoreError('InvalidOptions', 'no option found to get');
    return reply;
  },
};

export const getCmdLineOptsCommand: Command = {
  adminOnly: true,
  run: () => fromPlain({ argv: ['parley-embedded-store'], parsed: {} }) as Document,
};

export const getLogCommand: Command = {
  adminOnly: true,
  run({ args }) {
    if (args.any('getLog') === '*') return new Map([['names', ['global', 'startupWarnings']]]);
    return fromPlain({ totalLinesWritten: new Int32(0), log: [] }) as Document;
  },
};

export const hostInfoCommand: Command = {
  run: () =>
    fromPlain({
      system: {
        currentTime: new Date(),
        hostname: hostname(),
        cpuAddrSize: new Int32(64),
        memSizeMB: Long.fromNumber(Math.round(totalmem() / 1024 / 1024)),
        numCores: new Int32(cpus().length),
        cpuArch: arch(),
      },
      os: { type: osType(), name: osType() },
      extra: {},
    }) as Document,
};

export const whatsMyUriCommand: Command = {
  run: ({ connection }) => new Map<string, Value>([['you', connection.remote]]),
};

/** The running commands, each as a document, also for the aggregation stage. */
export function runningOperations(engine: Engine): Document[] {
  const now = performance.now();
  return engine.operations.list().map(
    (operation) =>
      fromPlain({
        type: 'op',
        active: true,
        opid: new Int32(operation.id),
        op: 'command',
        ns: operation.namespace,
        command: { [operation.command]: new Int32(1) },
        client: operation.connection.remote,
        connectionId: Long.fromNumber(operation.connection.id),
        secs_running: Long.fromNumber(Math.floor((now - operation.startedAt) / 1000)),
        microsecs_running: Long.fromNumber(Math.round((now - operation.startedAt) * 1000)),
      }) as Document,
  );
}

/** https://www.mongodb.com/docs/manual/reference/command/currentOp/ */
export const currentOpCommand: Command = {
  adminOnly: true,
  run: ({ engine }) => new Map<string, Value>([['inprog', runningOperations(engine)]]),
};

/**
 * https://www.mongodb.com/docs/manual/reference/command/killOp/. A read ends at the end of its time slice. Writes
 * are short or share a batch with others, and are not interrupted.
 */
export const killOpCommand: Command = {
  adminOnly: true,
  run({ args, engine }) {
    const id = args.integer('op');
    if (id === undefined) throw new StoreError('FailedToParse', 'missing "op" field');
    engine.operations.find(id)?.kill();
    return new Map<string, Value>([['info', 'attempting to kill op']]);
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/profile/: the store has no profiler. */
export const profileCommand: Command = {
  run({ args }) {
    const level = args.integer('profile');
    if (level === 1 || level === 2) {
      throw new StoreError('CommandNotSupported', 'the store has no profiler');
    }
    return fromPlain({ was: new Int32(0), slowms: new Int32(100), sampleRate: new Double(1) }) as Document;
  },
};

/** The store has no users: every client may do everything. */
export const usersInfoCommand: Command = { run: () => new Map([['users', []]]) };

/** The store has no roles. */
export const rolesInfoCommand: Command = { run: () => new Map([['roles', []]]) };

/** https://www.mongodb.com/docs/manual/reference/command/replSetGetStatus/ of a set with one member. */
export const replSetGetStatusCommand: Command = {
  adminOnly: true,
  run({ engine }) {
    const uptime = Math.round((Date.now() - engine.startedAt) / 1000);
    return fromPlain({
      set: REPLICA_SET,
      date: new Date(),
      myState: new Int32(1),
      members: [
        {
          _id: new Int32(0),
          name: engine.address,
          health: new Double(1),
          state: new Int32(1),
          stateStr: 'PRIMARY',
          uptime: new Int32(uptime),
          self: true,
        },
      ],
    }) as Document;
  },
};
