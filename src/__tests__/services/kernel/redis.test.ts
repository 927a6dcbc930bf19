import { Redis } from 'ioredis';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { RedisConnections, type RedisTiming } from '../../../services/kernel/redis';
import type { Logger } from '../../../utils/logger';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { until } from '../../fixtures/until';

if (!HAS_REDIS) console.warn('The connections to Redis are not tested: there is no redis-server.');

(HAS_REDIS ? describe : describe.skip)('the connections to Redis', () => {
  let redis: RedisProcess;
  let admin: Redis;
  const opened: RedisConnections[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
    admin.on('error', () => undefined);
  });
  afterEach(() => Promise.all(opened.splice(0).map((connections) => connections.stop())));
  afterAll(async () => {
    admin.disconnect();
    await redis.close();
  });

  /** The error of ioredis for a command that it would otherwise keep until it is reconnected. */
  const AT_ONCE = "Stream isn't writeable and enableOfflineQueue options is false";
  const HASTY: RedisTiming = { connectMs: 200, commandMs: 200, pingMs: 200 };

  /** New connections and their log. They are stopped at the end of the test. */
  function open(url = redis.url, name = 'test', timing?: RedisTiming) {
    const log: string[] = [];
    const write = (fieldsOrText: unknown, text?: string) => log.push(text ?? String(fieldsOrText));
    const logger = { warn: write, info: write } as unknown as Logger;
    const connections = new RedisConnections(url, name, logger, timing);
    opened.push(connections);
    return { connections, log };
  }

  /** The names of the connections in the server's list, without the one that asks. */
  async function clientNames(): Promise<string[]> {
    const list = String(await admin.client('LIST'));
    return [...list.matchAll(/ name=(\S+)/g)].map(([, name]) => name!).sort();
  }

  /** Subscribes to a channel. @returns the received messages, and the number of subscriptions. */
  async function listen(connections: RedisConnections, channel: string) {
    const state = { received: [] as string[], subscriptions: 0 };
    await connections.subscribe({
      channels: [channel],
      receive: (_, message) => state.received.push(message.toString()),
      subscribed: () => void state.subscriptions++,
    });
    return state;
  }

  it("are two, with names in the server's list, and none before the start or after the end", async () => {
    const { connections } = open(redis.url, 'one house');
    expect([connections.isReady, await clientNames()]).toEqual([false, []]);
    await connections.start();
    expect(connections.isReady).toBe(true);
    expect(await clientNames()).toEqual([
      expect.stringMatching(new RegExp(`^parley:one_house:[^:]+:${process.pid}:commands$`)),
      expect.stringMatching(new RegExp(`^parley:one_house:[^:]+:${process.pid}:subscriptions$`)),
    ]);
    await connections.stop();
    expect(connections.isReady).toBe(false);
    expect(await clientNames()).toEqual([]);
  });

  it('are shared: each subscriber receives what is published on its channels', async () => {
    const { connections } = open();
    const early = listen(connections, 'early');
    await connections.start();
    const late = await listen(connections, 'late');
    for (const channel of ['early', 'late', 'other']) await connections.commands.publish(channel, channel);
    await until(() => late.received.length > 0);
    expect([await early, late]).toEqual([
      { received: ['early'], subscriptions: 1 },
      { received: ['late'], subscriptions: 1 },
    ]);
  });

  it('tolerate a missing Redis at the start, and connect when it becomes available', async () => {
    const { port } = redis;
    await redis.close();
    const { connections, log } = open();
    const listener = await listen(connections, 'news');
    await connections.start();
    expect(connections.isReady).toBe(false);
    await expect(connections.commands.set('key', 'value')).rejects.toThrow(AT_ONCE);
    // Many attempts on two connections have failed by then, and were logged once.
    redis = await startRedis(port);
    await until(() => connections.isReady && listener.subscriptions === 1);
    expect(log).toEqual(['Redis cannot be reached', 'Redis can be reached again']);
    expect(await connections.commands.set('key', 'value')).toBe('OK');
  });

  it('reconnect after a loss, subscribe again, and send nothing late', async () => {
    const { connections, log } = open();
    await connections.start();
    const listener = await listen(connections, 'news');
    const { port } = redis;
    await redis.close();
    await until(() => !connections.isReady);
    const lost = Array.from({ length: 1000 }, () => connections.commands.publish('news', 'lost'));
    const outcomes = await Promise.allSettled(lost);
    const reasons = outcomes.map(
      (outcome) => outcome.status === 'rejected' && (outcome.reason as Error).message,
    );
    expect([...new Set(reasons)]).toEqual([AT_ONCE]);
    redis = await startRedis(port);
    await until(() => connections.isReady && listener.subscriptions === 2);
    await connections.commands.publish('news', 'back');
    await until(() => listener.received.length > 0);
    expect(listener.received).toEqual(['back']);
    expect(log).toEqual(['Redis cannot be reached', 'Redis can be reached again']);
  });

  it('drop a server that has stopped answering, and reconnect when it continues', async () => {
    const { connections } = open(redis.url, 'test', HASTY);
    await connections.start();
    const listener = await listen(connections, 'news');
    const before = listener.subscriptions;
    redis.signal('SIGSTOP');
    try {
      await expect(connections.commands.publish('news', 'lost')).rejects.toThrow();
      await until(() => !connections.isReady);
    } finally {
      redis.signal('SIGCONT');
    }
    await until(() => connections.isReady && listener.subscriptions > before);
    await connections.commands.publish('news', 'back');
    await until(() => listener.received.includes('back'));
  });

  it('can be closed without Redis, and do not retry afterwards', async () => {
    const neverStarted = open('redis://127.0.0.1:1').connections;
    await neverStarted.stop();
    const { port } = redis;
    await redis.close();
    const stopped = open(redis.url, 'stopped').connections;
    const other = open(redis.url, 'other').connections;
    await Promise.all([stopped.start(), other.start()]);
    await stopped.stop();
    redis = await startRedis(port);
    await until(() => other.isReady && admin.status === 'ready');
    expect(await clientNames()).toEqual([
      expect.stringMatching(/^parley:other:.+:commands$/),
      expect.stringMatching(/^parley:other:.+:subscriptions$/),
    ]);
    expect(neverStarted.isReady).toBe(false);
  });

  it('drop a server that accepts connections and sends nothing', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    const { connections } = open(`redis://127.0.0.1:${port}`, 'test', HASTY);
    await connections.start();
    expect(connections.isReady).toBe(false);
    await connections.stop();
    expect(sockets.length).toBeGreaterThanOrEqual(2);
    await new Promise((resolve) => {
      silent.close(resolve);
      for (const socket of sockets) socket.destroy();
    });
  });
});
