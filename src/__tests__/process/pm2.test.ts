import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createApi, type Api } from '../fixtures/api';
import { parseScrape } from '../fixtures/exposition';
import { freePort } from '../fixtures/free-port';
import { createRoom, signUpAll, type Person } from '../fixtures/people';
import { startPm2, type ManagedProcess, type Pm2 } from '../fixtures/pm2';
import { cleanUp, temporaryFolder } from '../fixtures/process';
import { HAS_REDIS, startRedis, type RedisProcess } from '../fixtures/redis';
import { connect, type Client } from '../fixtures/sockets';
import { until } from '../fixtures/until';

if (!HAS_REDIS) console.warn('PM2 is not tested: there is no redis-server.');

const INSTANCES = 2;
const SECRET = 'the secret of this test, which is long enough';

const TRANSPORTS: [string, object][] = [
  ['websocket', { transports: ['websocket'] }],
  ['polling', { transports: ['polling'] }],
  ['upgrade', {}],
];

afterAll(cleanUp);

/** Returns the first of two successive free ports. */
async function freePorts(): Promise<number> {
  const { createServer } = await import('node:net');
  for (;;) {
    const first = await freePort();
    const isFree = await new Promise<boolean>((resolve) => {
      const server = createServer().once('error', () => resolve(false));
      server.listen(first + 1, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (isFree) return first;
  }
}

(HAS_REDIS ? describe : describe.skip)('the ecosystem file of PM2', () => {
  let redis: RedisProcess;
  let folder: string;
  let settings: Record<string, string>;
  let url: string;
  let pm2: Pm2;
  let api: Api;
  let ada: Person;
  let bob: Person;
  let channelId: string;
  const clients: Client[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    folder = await temporaryFolder();
    const port = await freePort();
    settings = {
      PM2_INSTANCES: String(INSTANCES),
      PM2_STORE_PORT: String(await freePort()),
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      PORT: String(port),
      METRICS_PORT: String(await freePorts()),
      REDIS_URL: redis.url,
      JWT_SECRET: SECRET,
      ENCRYPTION_KEY: SECRET,
      BCRYPT_COST: '10',
      THROTTLE_ENABLED: 'false',
      LINK_PREVIEWS: 'false',
    };
    url = `http://127.0.0.1:${port}`;
    pm2 = startPm2(folder, settings);
    await until(() => (pm2.output.match(/"msg":"listening"/g) ?? []).length === INSTANCES, 60_000);
    await pm2.online();
    api = await createApi(url);
    ({ ada, bob } = await signUpAll(api, 'ada', 'bob'));
    ({ channelId } = await createRoom(api, ada, [bob]));
  }, 90_000);

  afterAll(async () => {
    for (const client of clients) client.close();
    await pm2.kill();
    await redis.close();
  });

  const servers = async () => (await pm2.list()).filter(({ name }) => name === 'parley');

  /** The sum of a metric of one process over all its labels; undefined if its metrics cannot be read. */
  async function metricOf({ metricsPort }: ManagedProcess, name: string): Promise<number | undefined> {
    const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`).catch(() => undefined);
    if (answer?.status !== 200) return undefined;
    const samples =
      parseScrape(await answer.text())
        .get(name)
        ?.samples.get(name) ?? [];
    return samples.reduce((sum, { value }) => sum + value, 0);
  }

  async function connectMany(count: number, person: Person): Promise<void> {
    const options = { reconnectionDelay: 50, reconnectionDelayMax: 500 };
    const made = TRANSPORTS.flatMap(([, transport]) =>
      Array.from({ length: count }, () => connect(url, person.token, { ...options, ...transport })),
    );
    clients.push(...(await Promise.all(made)));
  }

  /** Sends a message until it is acknowledged, and checks that every client receives it. */
  async function reachesAll(clientMessageId: string, sender: Person): Promise<void> {
    const answer = await api.post(
      `/api/channels/${channelId}/messages`,
      { clientMessageId, body: 'to everybody' },
      sender.token,
    );
    expect(answer.status).toBe(201);
    await Promise.all(
      clients.map((client) =>
        client.waitForMessage(({ message }) => message.clientMessageId === clientMessageId),
      ),
    );
  }

  it('starts a process for each instance, with metrics of its own, on one store', async () => {
    const processes = await pm2.list();
    expect(processes.map(({ name }) => name).sort()).toEqual(['parley', 'parley', 'parley-store']);
    const first = Number(settings['METRICS_PORT']);
    expect((await servers()).map(({ metricsPort }) => metricsPort).sort()).toEqual([first, first + 1]);
    for (const each of await servers()) expect(await metricOf(each, 'parley_accepting')).toBe(1);
    expect(pm2.output).not.toContain('Warning');
  });

  it('serves clients with every transport, on both processes, without sticky connections', async () => {
    await connectMany(2, ada);
    await connectMany(2, bob);
    for (const each of await servers()) expect(await metricOf(each, 'parley_connections')).toBeGreaterThan(0);
    for (const round of [1, 2, 3]) {
      for (const [index, client] of clients.entries()) {
        const message = { channelId, clientMessageId: `sent-${round}-${index}`, body: 'over a socket' };
        expect(await client.ask('message:send', message)).toMatchObject({ ok: true });
      }
      await reachesAll(`rest-${round}`, ada);
    }
    const sent = (client: Client) =>
      client.messages.filter(({ message }) => message.clientMessageId.startsWith('sent-')).length;
    await until(() => clients.every((client) => sent(client) === 3 * clients.length));
    const forwarded = await Promise.all(
      (await servers()).map((each) => metricOf(each, 'parley_sessions_forwarded_total')),
    );
    expect(forwarded.reduce<number>((sum, count) => sum + count!, 0)).toBeGreaterThan(0);
  }, 60_000);

  it('loses no acknowledged message during a rolling reload, and clients come back', async () => {
    const before = await servers();
    let isOver = false;
    const acknowledged = new Set<string>();
    const failures: unknown[] = [];
    // One client of each transport.
    const senders = [0, 2, 4].map((index) => clients[index]!);
    const sending = senders.map(async ({ socket }, line) => {
      for (let index = 0; !isOver; index++) {
        // At the pace of a fast writer: the new processes need time, too.
        await setTimeout(20);
        const clientMessageId = `reload-${line}-${index}`;
        // As clients do: with the same id until it is acknowledged.
        for (;;) {
          const answer: any = await socket
            .timeout(2000)
            .emitWithAck('message:send', { channelId, clientMessageId, body: 'during a reload' })
            .catch(() => undefined);
          if (answer?.ok) {
            acknowledged.add(clientMessageId);
            break;
          }
          if (answer && !['unavailable', 'rate_limited'].includes(answer.error.code)) {
            failures.push(answer);
            return;
          }
        }
      }
    });
    await until(() => acknowledged.size > 20);
    await pm2.run('reload', 'parley');
    const atEnd = acknowledged.size;
    await until(() => acknowledged.size > atEnd + 20, 20_000);
    isOver = true;
    await Promise.all(sending);
    expect(failures).toEqual([]);

    const after = await servers();
    const pids = (processes: ManagedProcess[]) => processes.map(({ pid }) => pid);
    expect(pids(after).filter((pid) => pids(before).includes(pid))).toEqual([]);
    expect(after.map(({ metricsPort }) => metricsPort)).toEqual(before.map(({ metricsPort }) => metricsPort));
    for (const each of after) await until(async () => (await metricOf(each, 'parley_accepting')) === 1);

    const stored = await storedMessages();
    const found = stored.filter((id) => id.startsWith('reload-'));
    expect(new Set(found).size).toBe(found.length);
    expect([...acknowledged].filter((id) => !found.includes(id))).toEqual([]);
    const told = clients.filter(({ events }) => events.some(({ event }) => event === 'server:closing'));
    expect(told).toHaveLength(clients.length);
    await until(() => clients.every(({ socket }) => socket.connected));
    await reachesAll('after-reload', bob);
  }, 90_000);

  /** The ids of all messages in the channel. */
  async function storedMessages(): Promise<string[]> {
    const ids: string[] = [];
    let before: number | null = null;
    do {
      const query: Record<string, string> = {
        limit: '100',
        ...(before !== null && { before: String(before) }),
      };
      const { body } = await api.get(`/api/channels/${channelId}/messages`, ada.token, query);
      ids.push(...body.messages.map(({ clientMessageId }: { clientMessageId: string }) => clientMessageId));
      before = body.nextCursor;
    } while (before !== null);
    return ids;
  }

  it('starts a killed process again, and its clients come back', async () => {
    const [victim, other] = await servers();
    process.kill(victim!.pid, 'SIGKILL');
    await until(async () => {
      const found = await servers();
      return (
        found.every(({ status }) => status === 'online') && !found.some(({ pid }) => pid === victim!.pid)
      );
    }, 30_000);
    expect((await servers()).map(({ pid }) => pid)).toContain(other!.pid);
    for (const each of await servers())
      await until(async () => (await metricOf(each, 'parley_accepting')) === 1, 20_000);
    await until(() => clients.every(({ socket }) => socket.connected), 20_000);
    await reachesAll('after-kill', bob);
  }, 60_000);

  it('stops everything in order', async () => {
    const all = await pm2.list();
    for (const client of clients.splice(0)) client.close();
    expect(await pm2.stop()).toBe(0);
    const isRunning = ({ pid }: ManagedProcess) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    expect(all.filter(isRunning)).toEqual([]);
    // The store outlived the servers, which could write to the end.
    expect(pm2.output).not.toMatch(/"level":"(error|fatal)"/);
    expect(pm2.output).not.toContain('MongoNotConnectedError');
    expect(await readdir(join(folder, 'data', 'sessions'))).toEqual([]);
  }, 60_000);
});

it('the ecosystem file refuses a configuration without Redis before anything is started', async () => {
  const pm2 = startPm2(await temporaryFolder(), { PM2_INSTANCES: '2' });
  await until(() => pm2.output.includes('REDIS_URL must be set'), 20_000);
  await pm2.kill();
  expect(pm2.output).not.toContain('starting in');
}, 30_000);
