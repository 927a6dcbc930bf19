import type { Db, Document, MongoClient } from 'mongodb';
import { missingIndexes } from '../../db/indexes';
import { pendingMigrations } from '../../db/migrations/runner';
import { connectDatabase } from '../../db/mongodb';
import { isLoopback } from './addresses';
import { messageOf, type Check, type Report } from './check';
import { compareClocks } from './clocks';

/** How long to look for a server. */
const SELECTION_TIMEOUT_MS = 5000;
/** How long one command may take. */
const COMMAND_TIMEOUT_MS = 5000;

const OLDEST = { major: 4, minor: 4 };
const NEWEST_MAJOR = 8;

/** The commands that a user without the role clusterMonitor may not call: 13 is Unauthorized. */
const UNAUTHORIZED = 13;
const AUTHENTICATION_FAILED = 18;

/** Checks the MongoDB server, and the data of this installation in it. It only reads. */
export const databaseCheck: Check = {
  group: 'Database',
  title: 'MongoDB',
  settings: ['MONGODB_URI', 'MONGODB_DATABASE'],
  run: async ({ database, dataDir }, report, signal) => {
    if (database.uri === undefined) return;
    const { client, db, close } = await connectDatabase({
      ...database,
      dataDir,
      selectionTimeoutMs: SELECTION_TIMEOUT_MS,
    }).catch((error: unknown) => {
      throw explained(error);
    });
    signal.addEventListener('abort', () => void close().catch(() => undefined));
    // One after the other, so that the findings have an order. Each one may fail by itself.
    for (const [what, inspect] of Object.entries(INSPECTIONS)) {
      try {
        await inspect({ client, db, report });
      } catch (error) {
        report(
          'error',
          `${what}: ${messageOf(error)}`,
          isCode(error, UNAUTHORIZED)
            ? `Give the user of MONGODB_URI the role readWrite on the database ${database.name}.`
            : undefined,
        );
      }
    }
    await close();
  },
};

/** Adds to the error of a failed connection what can be done. */
function explained(error: unknown): Error {
  const isRefused = isCode(error, AUTHENTICATION_FAILED) || isCode(error, 8000);
  const advice = isRefused
    ? 'The user, the password or authSource in MONGODB_URI is wrong.'
    : 'Check the address in MONGODB_URI, the firewall, and whether MongoDB runs.';
  return new Error(`cannot be reached: ${messageOf(error)}. ${advice}`);
}

interface Inspected {
  client: MongoClient;
  db: Db;
  report: Report;
}

const INSPECTIONS: Record<string, (inspected: Inspected) => Promise<void>> = {
  'version of MongoDB': async ({ client, report }) => {
    report(...assessVersion(await command(client, { buildInfo: 1 })));
  },

  'replica set': async ({ client, report }) => {
    report(...assessTopology(await command(client, { hello: 1 })));
  },

  'write concern': async ({ client, report }) => {
    const status = await ifPermitted(() => command(client, { replSetGetStatus: 1 }));
    const members = status?.['members'] as { health: number; stateStr: string; name: string }[] | undefined;
    if (!members) {
      report('skipped', 'write concern: the user of MONGODB_URI may not see which members are up');
      return;
    }
    const down = members.filter(({ health }) => health !== 1);
    if (down.length > 0)
      report(
        'warning',
        `members of the replica set that are down: ${down.map(({ name }) => name).join(', ')}`,
        'Parley acknowledges nothing that a majority does not have on disk. Start them again.',
      );
    else report('ok', 'write concern majority, with journal: all members are up');
  },

  'storage engine': async ({ client, report }) => {
    const status = await ifPermitted(() => command(client, { serverStatus: 1 }));
    const engine = status?.['storageEngine'] as { name?: string; persistent?: boolean } | undefined;
    if (!engine) report('skipped', 'storage engine: the user of MONGODB_URI may not see it');
    else if (engine.persistent === false || engine.name === 'ephemeralForTest')
      report('error', `the storage engine ${engine.name} loses all data at a restart`, 'Use wiredTiger.');
    else report('ok', `storage engine ${engine.name}`);
  },

  password: async ({ client, report }) => {
    const { authInfo } = await command(client, { connectionStatus: 1 });
    const { authenticatedUsers = [] } = authInfo as { authenticatedUsers?: unknown[] };
    const { hosts } = client.options;
    if (authenticatedUsers.length > 0) report('ok', 'MongoDB requires a password');
    else if (hosts.every(({ host, socketPath }) => socketPath !== undefined || isLoopback(host ?? '')))
      report('ok', 'MongoDB requires no password, on this machine');
    else
      report(
        'warning',
        'MONGODB_URI has no user: everyone in the network may be able to read the database',
        'Switch on authorization in mongod, and name a user in MONGODB_URI.',
      );
  },

  'clock of MongoDB': ({ client, report }) =>
    compareClocks('MongoDB', report, async () => {
      const { localTime } = await command(client, { hello: 1 });
      return (localTime as Date).getTime();
    }),

  migrations: async ({ db, report }) => {
    if (!(await db.listCollections({}, { nameOnly: true, ...LIMITED }).hasNext())) {
      report('ok', `the database ${db.databaseName} is empty: the first start creates everything in it`);
      return;
    }
    const pending = await pendingMigrations(db);
    if (pending.length === 0) report('ok', 'no pending migrations');
    else
      report(
        'warning',
        `pending migrations: ${pending.map(({ number, name }) => `${number} (${name})`).join(', ')}`,
        'The next start runs them. Back up first; npm run migrate -- --dry-run tells what they change.',
      );
  },

  indexes: async ({ db, report }) => {
    const missing = await missingIndexes(db);
    if (missing.length === 0) report('ok', 'no index is missing');
    else
      report(
        'warning',
        `missing indexes: ${missing.join(', ')}`,
        'The next start creates them, which may take minutes in a large database.',
      );
  },
};

/** Judges the answer to `buildInfo`. */
export function assessVersion({ version, modules }: Document): Parameters<Report> {
  if ((modules as string[] | undefined)?.includes('parley-embedded-store'))
    return ['ok', 'an embedded store on a port (npm run db)'];
  const [major = 0, minor = 0] = String(version).split('.').map(Number);
  if (major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor))
    return ['error', `MongoDB ${version} is too old`, 'Parley requires version 4.4 to 8.'];
  if (major > NEWEST_MAJOR)
    return [
      'warning',
      `MongoDB ${version} is newer than Parley knows`,
      'Parley is tested with version 4.4 to 8.',
    ];
  return ['ok', `MongoDB ${version}`];
}

/** Judges the answer to `hello`: whether there are transactions, and whether one member may fail. */
export function assessTopology(hello: Document): Parameters<Report> {
  const {
    setName,
    msg,
    hosts = [],
    arbiters = [],
  } = hello as { hosts?: string[]; arbiters?: string[] } & Document;
  if (msg === 'isdbgrid') return ['ok', 'a sharded cluster, which has transactions'];
  if (setName === undefined)
    return [
      'error',
      'MongoDB is not a replica set, so it has no transactions: writes that belong together may be incomplete after a crash',
      'Start mongod with --replSet rs0 and call rs.initiate() once; one member is enough.',
    ];
  const members = `replica set ${setName} with ${hosts.length} member${hosts.length === 1 ? '' : 's'}`;
  if (arbiters.length > 0)
    return [
      'warning',
      `${members} and an arbiter`,
      'A write is acknowledged when a majority has it on disk, so writes stop when one member fails. Replace the arbiter by a member with data.',
    ];
  if (hosts.length === 2)
    return [
      'warning',
      members,
      'When one member fails, writes stop, because the other one is no majority. Add a third member.',
    ];
  return ['ok', members];
}

const LIMITED = { timeoutMS: COMMAND_TIMEOUT_MS };

function command(client: MongoClient, document: Document): Promise<Document> {
  return client.db('admin').command(document, LIMITED);
}

/** Returns undefined if the user may not do that. */
async function ifPermitted(read: () => Promise<Document>): Promise<Document | undefined> {
  try {
    return await read();
  } catch (error) {
    // 76: not a replica set.
    if (isCode(error, UNAUTHORIZED) || isCode(error, 76)) return undefined;
    throw error;
  }
}

function isCode(error: unknown, code: number): boolean {
  return (error as { code?: unknown }).code === code;
}
