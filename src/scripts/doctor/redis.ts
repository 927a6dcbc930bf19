import { Redis } from 'ioredis';
import { connectDatabase } from '../../db/mongodb';
import type { Config } from '../../config/env.config';
import { isLoopback } from './addresses';
import { messageOf, type Check, type Report } from './check';
import { compareClocks } from './clocks';

const CONNECT_TIMEOUT_MS = 4000;
const COMMAND_TIMEOUT_MS = 3000;
const OLDEST_MAJOR = 6;
/** The latency above which revocations noticeably delay requests, in milliseconds. */
const SLOW_MS = 10;
const PINGS = 5;

/** Checks the Redis server that several nodes share. It only reads. */
export const redisCheck: Check = {
  group: 'Redis',
  title: 'Redis',
  settings: ['REDIS_URL', 'MONGODB_URI', 'MONGODB_DATABASE'],
  run: async (config, report, signal) => {
    const { redisUrl, database } = config;
    if (redisUrl === undefined) {
      report('skipped', 'REDIS_URL is not set: one node only');
      return;
    }
    if (database.uri === undefined)
      report(
        'warning',
        'REDIS_URL has little use with the embedded store, which only one process can open',
        'Several nodes need MongoDB (MONGODB_URI).',
      );
    const redis = new Redis(redisUrl, {
      lazyConnect: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      commandTimeout: COMMAND_TIMEOUT_MS,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
      connectionName: 'parley:doctor',
    });
    // The promise of connect only says that the connection was closed; the reason is here.
    let failure: unknown;
    redis.on('error', (error) => (failure ??= error));
    signal.addEventListener('abort', () => redis.disconnect());
    try {
      await redis.connect();
      // Without a valid password, this is the first command that is refused.
      await redis.ping();
    } catch (error) {
      redis.disconnect();
      const text = messageOf(failure ?? error);
      report('error', `Redis cannot be used: ${text}`, adviceFor(text));
      return;
    }
    for (const [what, inspect] of Object.entries(INSPECTIONS)) {
      try {
        await inspect(redis, report, config);
      } catch (error) {
        const isForbidden = /NOPERM|unknown command/i.test(messageOf(error));
        report(isForbidden ? 'skipped' : 'error', `${what}: ${messageOf(error)}`);
      }
    }
    redis.disconnect();
  },
};

function adviceFor(message: string): string {
  if (/WRONGPASS|invalid password|invalid username/i.test(message))
    return 'The user or the password in REDIS_URL is wrong: redis://user:password@host:6379.';
  if (/NOAUTH/i.test(message)) return 'Redis requires a password: redis://:password@host:6379.';
  return 'Check the address in REDIS_URL, the firewall, and whether Redis runs (rediss:// for TLS).';
}

type Inspection = (redis: Redis, report: Report, config: Config) => Promise<void>;

const INSPECTIONS: Record<string, Inspection> = {
  'version of Redis': async (redis, report) => {
    const server = await infoOf(redis, 'server');
    const version = server.get('redis_version') ?? 'of an unknown version';
    if (server.get('redis_mode') === 'cluster')
      report('error', `Redis ${version} is a cluster`, 'Use a Redis server, or Sentinel with one address.');
    else if (Number.parseInt(version, 10) < OLDEST_MAJOR)
      report('warning', `Redis ${version} is old`, `Install version ${OLDEST_MAJOR} or later.`);
    else report('ok', `Redis ${version}`);
    const { role } = Object.fromEntries(await infoOf(redis, 'replication'));
    if (role !== undefined && role !== 'master')
      report('error', 'REDIS_URL names a replica, which accepts no writes', 'Name the master.');
  },

  'eviction and persistence': async (redis, report) => {
    const memory = await infoOf(redis, 'memory');
    const policy = memory.get('maxmemory_policy');
    if (policy !== undefined && policy !== 'noeviction')
      report(
        'warning',
        `maxmemory-policy is ${policy}: when its memory is full, Redis forgets limits and failed log-ins`,
        'Set maxmemory-policy noeviction, and give other uses a Redis server of their own.',
      );
    else report('ok', 'maxmemory-policy noeviction');
    const persistence = await infoOf(redis, 'persistence');
    if (
      persistence.get('rdb_last_bgsave_status') === 'err' ||
      persistence.get('aof_last_write_status') === 'err'
    )
      report(
        'error',
        'Redis could not save its data to the disk, and may refuse all writes',
        "Look into its log. Parley needs no persistence: save '' and appendonly no are enough.",
      );
    else report('ok', 'Redis accepts writes; Parley does not need its persistence');
  },

  'latency of Redis': async (redis, report) => {
    const times: number[] = [];
    for (let count = 0; count < PINGS; count++) {
      const start = performance.now();
      await redis.ping();
      times.push(performance.now() - start);
    }
    const median = times.sort((a, b) => a - b)[Math.floor(PINGS / 2)] ?? 0;
    const message = `Redis answers in ${median.toFixed(1)} ms`;
    if (median < SLOW_MS) report('ok', message);
    else
      report(
        'warning',
        message,
        'Every revocation waits for it. Run Redis in the same network as the nodes.',
      );
  },

  'password of Redis': async (redis, report) => {
    const { password, host } = redis.options;
    if (password) report('ok', 'Redis requires a password');
    else if (isLoopback(host ?? '')) report('ok', 'Redis requires no password, on this machine');
    else
      report(
        'warning',
        'REDIS_URL has no password: everyone who can reach Redis can influence the sockets of users',
        'Set requirepass, and do not let strangers reach the port.',
      );
    await Promise.resolve();
  },

  'clock of Redis': (redis, report) =>
    compareClocks('Redis', report, async () => {
      const [seconds, microseconds] = await redis.time();
      return Number(seconds) * 1000 + Number(microseconds) / 1000;
    }),

  'other installations': async (redis, report, config) => {
    const { uri, name } = config.database;
    const clients = String(await redis.client('LIST'));
    // The names that services/kernel/redis.ts gives its connections.
    const processes = new Set(
      [...clients.matchAll(/ name=(parley:[^ ]+):commands /g)]
        .map(([, client = '']) => client)
        .filter((client) => client.split(':')[1] === name),
    );
    if (uri === undefined || processes.size === 0) {
      report('ok', `${processes.size} running nodes use the name ${name} in this Redis`);
      return;
    }
    const nodes = await countLiveNodes(config);
    if (processes.size > nodes)
      report(
        'error',
        `${processes.size} running nodes use the name ${name} in this Redis, but only ${nodes} of them this database`,
        'Another installation has the same MONGODB_DATABASE. Give each one its own, or its own Redis server.',
      );
    else
      report(
        'ok',
        `${processes.size} running nodes use the name ${name} in this Redis, all of them this database`,
      );
  },
};

/** Counts the nodes whose lease in the database has not ended. */
async function countLiveNodes({ database, dataDir }: Config): Promise<number> {
  const connection = await connectDatabase({ ...database, dataDir, selectionTimeoutMs: CONNECT_TIMEOUT_MS });
  try {
    return await connection.db
      .collection('nodes')
      .countDocuments({ aliveUntil: { $gt: new Date() } }, { timeoutMS: COMMAND_TIMEOUT_MS });
  } finally {
    await connection.close();
  }
}

/** Returns a section of INFO. */
async function infoOf(redis: Redis, section: string): Promise<Map<string, string>> {
  const lines = (await redis.info(section)).split('\r\n');
  return new Map(lines.filter((line) => line.includes(':')).map((line) => splitOnce(line)));
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf(':');
  return [line.slice(0, at), line.slice(at + 1)];
}
