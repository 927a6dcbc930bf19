import { randomBytes, randomUUID } from 'node:crypto';
import { MongoClient } from 'mongodb';
import { collectionsOf, type Collections } from '../../db/collections';
import { inTransactions } from '../../db/transaction';
import type { MessageDocument } from '../../models/message.model';
import { createApi, type Api } from '../fixtures/api';
import {
  commits,
  startDatabaseProxy,
  writesMessages,
  type Command,
  type DatabaseProxy,
} from '../fixtures/database-proxy';
import { createRoom, signUp, signUpAll, type Person } from '../fixtures/people';
import { cleanUp, spawnServer, spawnStore, temporaryFolder, type StoreProcess } from '../fixtures/process';
import { acknowledged, SendLog, type Attempt, type SendInput } from '../fixtures/send-log';
import { startTestServer, type TestServer } from '../fixtures/server';
import { connect, type Client } from '../fixtures/sockets';
import { problemsOfEvents, problemsOfReads, readChannels } from '../fixtures/stored-channels';
import { until } from '../fixtures/until';
import { upload } from '../fixtures/uploads';

/*
 * Messages of many channels are committed together. Here the server or its database is killed, or their connection
 * breaks, at each step of such a commit: a proxy between them stops at the command of the step.
 */

const ROOMS = 5;

/** Two users, with rooms and a direct conversation in common. */
interface Scene {
  ada: Person;
  bruno: Person;
  channelIds: string[];
  /** A message of each channel, to reply to. */
  roots: Map<string, string>;
  log: SendLog;
}

async function createScene(api: Api): Promise<Scene> {
  const { ada, bruno } = await signUpAll(api, 'ada', 'bruno');
  const channelIds: string[] = [];
  for (let index = 0; index < ROOMS; index++) {
    channelIds.push((await createRoom(api, ada, [bruno])).channelId);
  }
  const { body } = await api.post('/api/direct-messages', { userIds: [bruno.id] }, ada.token);
  channelIds.push(body.conversation.channel.id);
  const log = new SendLog();
  const roots = new Map<string, string>();
  for (const channelId of channelIds) {
    const attempt = await log.overRest(api, bruno, channelId, {
      clientMessageId: randomUUID(),
      body: 'root',
    });
    roots.set(channelId, acknowledged(attempt)!.id);
  }
  return { ada, bruno, channelIds, roots, log };
}

/** One message for each channel, of every kind, and further ones for one channel. */
async function composeSends(
  api: Api,
  { ada, bruno, channelIds, roots }: Scene,
): Promise<[string, SendInput][]> {
  const file = await upload(api, ada, 'a plain text', 'note.txt');
  const kinds: Omit<SendInput, 'clientMessageId'>[] = [
    { body: 'hello' },
    { body: `hello @${bruno.username}` },
    { body: '@channel hello', attachmentIds: [file.id] },
    { body: `a reply for @${bruno.username}`, threadId: roots.get(channelIds[3]!)! },
    { body: 'a quote', replyToId: roots.get(channelIds[4]!)! },
    { body: 'in private' },
  ];
  const sends = channelIds.map((channelId, index): [string, SendInput] => [
    channelId,
    { clientMessageId: randomUUID(), ...kinds[index]! },
  ]);
  const more = [1, 2, 3].map((number): [string, SendInput] => [
    channelIds[0]!,
    { clientMessageId: randomUUID(), body: `number ${number}` },
  ]);
  return [...sends, ...more];
}

const toKey = ({ clientMessageId, _id }: MessageDocument) => `${clientMessageId} ${_id.toHexString()}`;

/** Everything that is stored and can be read is as the answers say, and each mention has notified once. */
async function problemsAfter(api: Api, collections: Collections, scene: Scene): Promise<string[]> {
  const { ada, bruno, channelIds, log } = scene;
  const problems = await log.problems(collections, channelIds);
  const stored = await readChannels(collections, channelIds);
  for (const person of [ada, bruno]) {
    // The history is the same for both.
    const listed = person === ada ? channelIds : [];
    problems.push(...(await problemsOfReads(api, person, channelIds, stored, listed)));
  }
  const messages = [...stored.values()].flatMap((channel) => channel.messages);
  const mentioning = messages.filter(({ body }) => body.includes('@')).map(({ _id }) => _id.toHexString());
  const mentions = await collections.notifications
    .find({ kind: 'mention', messageId: { $in: messages.map(({ _id }) => _id) } })
    .toArray();
  const notified = mentions.map(({ messageId }) => messageId!.toHexString());
  if (notified.sort().join() !== mentioning.sort().join()) {
    problems.push(`${notified.length} notifications of ${mentioning.length} mentions`);
  }
  return problems;
}

/** Each client has received each message of these attempts once, in the order of the channel. */
async function expectPublished(
  { context }: TestServer,
  clients: readonly Client[],
  { channelIds }: Scene,
  attempts: readonly Attempt[],
): Promise<void> {
  const stored = await readChannels(context.database.collections, channelIds);
  // They were not connected when the first message of each channel was sent.
  for (const channel of stored.values()) channel.messages.shift();
  const ids = attempts.map((attempt) => acknowledged(attempt)!.id);
  for (const client of clients) {
    await until(() => ids.every((id) => client.messages.some(({ message }) => message.id === id)));
    expect(problemsOfEvents([client], () => true, stored)).toEqual([]);
  }
}

afterAll(cleanUp);

describe('a broken connection to the database', () => {
  let proxy: DatabaseProxy;
  let server: TestServer;
  let clients: Client[] = [];

  beforeAll(async () => {
    proxy = await startDatabaseProxy(process.env['TEST_MONGODB_URI']!);
    server = await startTestServer({ MONGODB_URI: proxy.uri });
    await signUp(server.api, 'root');
  });
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  afterAll(async () => {
    await server.close();
    await proxy.close();
  });

  it.each([
    ['before the write arrives', 'command', writesMessages],
    ['before the answer to the write arrives', 'reply', writesMessages],
    ['before the commit arrives', 'command', commits],
    ['before the answer to the commit arrives', 'reply', commits],
  ] as const)('%s: each message is acknowledged and published once', async (_, at, matches) => {
    const scene = await createScene(server.api);
    const { ada, bruno, log } = scene;
    const sends = await composeSends(server.api, scene);
    clients = [await connect(server.url, ada.token), await connect(server.url, bruno.token)];
    const [client] = clients as [Client];
    const stopping = proxy.stopNext(at, matches);
    const sending = sends.map(([channelId, input]) => log.overSocket(client, ada, channelId, input));
    (await stopping).cut();
    const attempts = await Promise.all(sending);
    expect(attempts.flatMap(({ answer }) => (typeof answer === 'string' ? answer : []))).toEqual([]);
    expect(await problemsAfter(server.api, server.context.database.collections, scene)).toEqual([]);
    await expectPublished(server, clients, scene, attempts);
  });

  it.each([
    ['their commits have been executed', (command: Command) => commits(command)],
    ['they have written', ({ name }: Command) => name === 'insert'],
    ['they have written several documents', ({ name }: Command) => name === 'update'],
  ])('does not end two transactions that lose theirs at the same time, when %s', async (_, matches) => {
    const { db, transactions } = server.context.database;
    const items = inTransactions(db.collection<{ _id: string; n: number }>('items'));
    // The first write to a collection creates it, which is no part of the transaction.
    await items.deleteMany({});
    const stops = [1, 2].map(() => proxy.stopNext('reply', matches));
    const running = ['one', 'two'].map((_id) =>
      transactions.run(async () => {
        await items.insertOne({ _id, n: 0 });
        await items.bulkWrite([
          { updateOne: { filter: { _id }, update: { $inc: { n: 1 } } } },
          { updateOne: { filter: { _id }, update: { $inc: { n: 1 } } } },
        ]);
      }),
    );
    for (const stopped of await Promise.all(stops)) stopped.cut();
    await Promise.all(running);
    expect(await items.find().sort({ _id: 1 }).toArray()).toEqual([
      { _id: 'one', n: 2 },
      { _id: 'two', n: 2 },
    ]);
  });
});

describe('kill -9 of the server', () => {
  let proxy: DatabaseProxy;
  let database: MongoClient;
  const name = `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;

  beforeAll(async () => {
    proxy = await startDatabaseProxy(process.env['TEST_MONGODB_URI']!);
    database = await new MongoClient(process.env['TEST_MONGODB_URI']!).connect();
  });
  afterAll(async () => {
    await proxy.close();
    await database.db(name).dropDatabase();
    await database.close();
  });

  /** Each kills the server at another step while it sends, and says what is certain about the messages afterwards. */
  const steps: {
    step: string;
    /** Resolves when the step is reached. Called before anything is sent. */
    reach: (reader: Client) => Promise<unknown>;
    /** Whether some of the messages exist, and whether some do not. */
    stored: boolean;
    missing: boolean;
  }[] = [
    {
      step: 'before the write',
      reach: () => proxy.stopNext('command', writesMessages),
      stored: false,
      missing: true,
    },
    {
      step: 'after the write, before the commit',
      reach: () => proxy.stopNext('command', commits),
      stored: false,
      missing: true,
    },
    {
      step: 'after the commit, before its answer',
      reach: () => proxy.stopNext('reply', commits),
      stored: true,
      missing: false,
    },
    {
      step: 'while the messages are published',
      reach: (reader) => reader.waitFor('message:created'),
      stored: true,
      missing: false,
    },
  ];

  test('at each step of a commit: what was acknowledged exists once, and a repeated send finds it', async () => {
    const folder = await temporaryFolder();
    const settings = {
      DATA_DIR: folder,
      MONGODB_URI: proxy.uri,
      MONGODB_DATABASE: name,
      THROTTLE_ENABLED: 'false',
      JWT_SECRET: randomBytes(48).toString('base64url'),
    };
    const collections = collectionsOf(database.db(name), () => undefined);
    let server = await spawnServer(settings);
    let url = await server.listening();
    let api = await createApi(url);
    await signUp(api, 'root');
    const scene = await createScene(api);
    const { ada, bruno, channelIds, log } = scene;
    for (const { step, reach, stored, missing } of steps) {
      const sends = await composeSends(api, scene);
      const options = { transports: ['websocket'], reconnection: false };
      const clients = [await connect(url, ada.token, options), await connect(url, bruno.token, options)];
      const [sender, reader] = clients as [Client, Client];
      const reached = reach(reader);
      const sending = sends.map(([channelId, input]) => log.overSocket(sender, ada, channelId, input));
      await reached;
      await server.end('SIGKILL');
      sender.close();
      reader.close();
      await Promise.all(sending);
      const ids = sends.map(([, { clientMessageId }]) => clientMessageId);
      const existing = await collections.messages.countDocuments({ clientMessageId: { $in: ids } });
      // Otherwise the server was not killed at this step.
      if (stored) expect([step, existing > 0]).toEqual([step, true]);
      if (missing) expect([step, existing < ids.length]).toEqual([step, true]);
      const channels = await readChannels(collections, channelIds);
      expect(await log.problems(collections, channelIds)).toEqual([]);

      server = await spawnServer(settings);
      url = await server.listening();
      api = await createApi(url);
      const known = new Set([...channels.values()].flatMap(({ messages }) => messages.map(toKey)));
      const repeated = await Promise.all(
        sends.map(([channelId, input]) => log.overRest(api, ada, channelId, input)),
      );
      expect(repeated.flatMap(({ answer }) => (typeof answer === 'string' ? answer : []))).toEqual([]);
      // Those that existed are the same messages.
      for (const attempt of repeated) {
        const { id, clientMessageId } = acknowledged(attempt)!;
        const before = [...known].find((key) => key.startsWith(`${clientMessageId} `));
        if (before !== undefined) expect(before).toBe(`${clientMessageId} ${id}`);
      }
      for (const channelId of channelIds) {
        await log.overRest(api, bruno, channelId, { clientMessageId: randomUUID(), body: 'the next' });
      }
      expect([step, await problemsAfter(api, collections, scene)]).toEqual([step, []]);
    }
    await server.end('SIGTERM');
  }, 120_000);
});

describe('kill -9 of the database', () => {
  let folder: string;
  let store: StoreProcess;
  let proxy: DatabaseProxy;
  let server: TestServer;

  beforeAll(async () => {
    folder = await temporaryFolder();
    store = await spawnStore(folder);
    proxy = await startDatabaseProxy(store.uri);
    server = await startTestServer({ MONGODB_URI: proxy.uri });
    await signUp(server.api, 'root');
  });
  afterAll(async () => {
    await server.close();
    await proxy.close();
    await store.end('SIGTERM');
  });

  it.each([
    ['before the commit arrives', 'command', false],
    ['while it commits', 'command', true],
    ['after the commit, before its answer', 'reply', false],
  ] as const)('%s: the server acknowledges and publishes each message once', async (_, at, passes) => {
    const scene = await createScene(server.api);
    const { ada, bruno, log } = scene;
    const sends = await composeSends(server.api, scene);
    const options = { transports: ['websocket'] };
    const clients = [
      await connect(server.url, ada.token, options),
      await connect(server.url, bruno.token, options),
    ];
    const [sender] = clients as [Client];
    const stopping = proxy.stopNext(at, commits);
    const sending = sends.map(([channelId, input]) => log.overSocket(sender, ada, channelId, input));
    const stopped = await stopping;
    if (passes) stopped.pass();
    await store.end('SIGKILL');
    stopped.cut();
    store = await spawnStore(folder);
    proxy.target = store.uri;
    const attempts = await Promise.all(sending);
    expect(attempts.flatMap(({ answer }) => (typeof answer === 'string' ? answer : []))).toEqual([]);
    expect(await problemsAfter(server.api, server.context.database.collections, scene)).toEqual([]);
    await expectPublished(server, clients, scene, attempts);
    for (const client of clients) client.close();
  });
});
