import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { ChannelState } from '../../../client/channel-state';
import { followClosing, type ClosingSocket } from '../../../client/reconnect';
import { createApi, type Api } from '../fixtures/api';
import { startBalancer } from '../fixtures/balancer';
import { openDevice, type Device } from '../fixtures/chat-device';
import { createRoom, signUpAll, type Person } from '../fixtures/people';
import { cleanUp, spawnServer, spawnStore, temporaryFolder } from '../fixtures/process';
import { HAS_REDIS, startRedis } from '../fixtures/redis';
import { until } from '../fixtures/until';

if (!HAS_REDIS) console.warn('A rolling restart is not tested: there is no redis-server.');

/** What the test has opened, also if it fails. */
const opened: (() => unknown)[] = [];
afterAll(async () => {
  for (const close of opened.splice(0).reverse()) await close();
  await cleanUp();
});

const NODES = 3;
/** The messages that each client has in its outbox while there is traffic. */
const WINDOW = 2;
/** The longest time that a shutdown may take, in milliseconds. */
const LIMIT_MS = 10_000;

/** Keeps sending from a client until it is stopped. */
function sendFrom({ chat }: Device, channelId: string) {
  const ids: string[] = [];
  const isUnsent = (id: string) => chat.state.outbox.some(({ clientMessageId }) => clientMessageId === id);
  const timer = setInterval(() => {
    while (ids.filter(isUnsent).length < WINDOW) {
      const id = randomUUID();
      ids.push(id);
      chat.send(channelId, { body: id }, id);
    }
  }, 5);
  return {
    ids,
    count: () => ids.filter((id) => !isUnsent(id)).length,
    stop: () => {
      clearInterval(timer);
      return Promise.resolve();
    },
  };
}

/** Sends over REST until it is stopped, and repeats what was not answered or refused because a server closes. */
function sendOverRest(api: Api, { token }: Person, channelId: string) {
  const ids: string[] = [];
  const errors = new Set<string>();
  let isStopped = false;
  const run = async () => {
    while (!isStopped) {
      const input = { clientMessageId: randomUUID(), body: 'over REST' };
      ids.push(input.clientMessageId);
      for (let isStored = false; !isStored;) {
        try {
          const { status, body } = await api.post(`/api/channels/${channelId}/messages`, input, token);
          isStored = status < 300;
          if (!isStored) errors.add(body.error.code);
        } catch (error) {
          errors.add((error as NodeJS.ErrnoException).code!);
        }
      }
    }
  };
  const running = run();
  return {
    ids,
    errors,
    count: () => ids.length,
    stop: () => {
      isStopped = true;
      return running;
    },
  };
}

/**
 * What a client knows of a channel, without its messages. The version of the read marker only orders its moves; a client
 * makes those by its own messages itself.
 */
function shownOf({ channel, revision, read }: ChannelState) {
  return { channel, revision, read: { ...read, version: 0 } };
}

async function historyOf(api: Api, { token }: Person, channelId: string): Promise<any[]> {
  const messages: any[] = [];
  for (let before: number | null = Number.MAX_SAFE_INTEGER; before !== null;) {
    const { body } = await api.get(`/api/channels/${channelId}/messages`, token, { before, limit: 200 });
    messages.push(...body.messages);
    before = body.nextCursor;
  }
  return messages.reverse();
}

(HAS_REDIS ? test : test.skip)(
  'a rolling restart of three nodes under traffic loses nothing, and shows nobody as offline',
  async () => {
    const store = await spawnStore(await temporaryFolder());
    const redis = await startRedis();
    opened.push(() => redis.close());
    const shared = await temporaryFolder();
    const spawnNode = () =>
      spawnServer({
        MONGODB_URI: store.uri,
        REDIS_URL: redis.url,
        JWT_SECRET: 'a secret that all nodes have in common',
        ENCRYPTION_KEY: 'a key that all nodes have in common, too',
        UPLOAD_DIR: join(shared, 'uploads'),
        THROTTLE_ENABLED: 'false',
        SOCKET_EVENTS_PER_SECOND: '1000',
        LOG_LEVEL: 'error',
      });
    const nodes = [await spawnNode()];
    const portOf = async (node: (typeof nodes)[number]) => Number(new URL(await node.listening()).port);
    const ports = [await portOf(nodes[0]!)];
    while (nodes.length < NODES) {
      const node = await spawnNode();
      nodes.push(node);
      ports.push(await portOf(node));
    }
    const balancer = await startBalancer(ports);
    opened.push(() => balancer.close());
    const api = await createApi(balancer.url);
    const people = Object.values(await signUpAll(api, 'ada', 'bob', 'cem'));
    const { channelId } = await createRoom(api, people[0]!, people.slice(1));
    const open = (person: Person) => {
      const device = openDevice(balancer.url, api, person, () => Promise.resolve([]));
      opened.push(() => device.socket.close());
      followClosing(device.socket as unknown as ClosingSocket);
      return device;
    };
    const devices = [...people, ...people].map(open);
    const shownOffline: string[] = [];
    let restarts = 0;
    for (const { socket, person } of devices) {
      socket.on('presence:changed', ({ offline }: { offline: string[] }) =>
        shownOffline.push(...offline.map((id) => `${id} to ${person.username} at restart ${restarts}`)),
      );
    }
    /** For each client and restart: how much later than it was told it has reconnected, in milliseconds. */
    const delays = new Map(devices.map(({ socket }) => [socket, [] as number[]]));
    for (const { socket } of devices) {
      let expectedAt: number | undefined;
      socket.on('server:closing', ({ reconnectAfter }: { reconnectAfter: number }) => {
        socket.once('disconnect', () => (expectedAt = performance.now() + reconnectAfter));
      });
      socket.on('connect', () => {
        if (expectedAt !== undefined) delays.get(socket)!.push(performance.now() - expectedAt);
        expectedAt = undefined;
      });
    }
    await Promise.all(devices.map((device) => device.settle()));
    for (const { chat } of devices) await chat.loadHistory(channelId);
    await until(async () => {
      const { body } = await api.get(`/api/channels/${channelId}/presence`, people[0]!.token);
      return body.presences.length === people.length;
    });

    const callers = people.map((person) => sendOverRest(api, person, channelId));
    const senders = [...devices.map((device) => sendFrom(device, channelId)), ...callers];
    opened.push(...senders.map((sender) => () => sender.stop()));
    /** Resolves when every sender has sent some more messages. */
    const progress = async () => {
      const before = senders.map((sender) => sender.count());
      await until(() => senders.every((sender, index) => sender.count() >= before[index]! + 3), 60_000);
    };
    for (const [index, node] of [...nodes].entries()) {
      await progress();
      const start = performance.now();
      expect(await node.end('SIGTERM')).toEqual({ code: 0, signal: null });
      expect(performance.now() - start).toBeLessThan(LIMIT_MS);
      expect({ stderr: node.stderr, errors: node.stdout.match(/^\{.*$/gm) }).toEqual({
        stderr: '',
        errors: null,
      });
      nodes[index] = await spawnNode();
      balancer.ports[index] = await portOf(nodes[index]);
      await until(() => devices.every(({ socket }) => socket.connected), 60_000);
      restarts++;
    }
    await progress();
    await Promise.all(senders.map((sender) => sender.stop()));
    await Promise.all(devices.map((device) => device.settle()));

    // Each message is stored once, in one order without gaps, and none was refused.
    const history = await historyOf(api, people[0]!, channelId);
    const ids = history.map(({ clientMessageId }) => clientMessageId);
    expect([...ids].sort()).toEqual(senders.flatMap((sender) => sender.ids).sort());
    expect(history.map(({ seq }) => seq)).toEqual(history.map((_, index) => history[0].seq + index));
    for (const { chat } of devices) expect(chat.state.outbox).toEqual([]);
    for (const { errors } of callers) {
      for (const code of errors) expect(code).toMatch(/^(unavailable|(ECONNRESET|EPIPE)(:.*)?)$/);
    }
    // Every client knows what a new one learns.
    const byId = new Map(history.map((message) => [message.seq, message]));
    for (const { person, chat } of devices) {
      const fresh = open(person);
      await fresh.settle();
      const known = chat.state.channels.get(channelId)!;
      expect(shownOf(known)).toEqual(shownOf(fresh.chat.state.channels.get(channelId)!));
      expect(known.messages).toEqual(known.messages!.map(({ seq }) => byId.get(seq)));
      expect(known.messages!.at(-1)).toEqual(history.at(-1));
    }
    expect(shownOffline).toEqual([]);
    // Each client was connected to a node that was restarted, and waited as long as it was told, each time.
    for (const [socket, own] of delays) {
      expect(own.length).toBeGreaterThan(0);
      for (const delay of own) expect(delay).toBeGreaterThan(-5);
      // The usual settings apply again.
      expect(socket.io.reconnectionDelay()).toBe(20);
    }
  },
  300_000,
);
