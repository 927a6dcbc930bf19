import { randomUUID } from 'node:crypto';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { CommandStartedEvent, Document } from 'mongodb';
import { ObjectId } from 'mongodb';
import { lock } from '../../../db/transaction';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { METRICS } from '../../../services/kernel/metrics';
import { counterOf, startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';
import { upload } from '../../fixtures/uploads';

let server: TestServer;
let owner: Person;
let members: Person[];
let channelId: string;
let clients: Client[];
/** The numbers of messages that were inserted by one command. */
let inserts: number[] = [];

beforeAll(async () => {
  server = await startTestServer({}, { monitorCommands: true });
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
  server.context.database.db.client.on('commandStarted', ({ command }: CommandStartedEvent) => {
    if (command['bulkWrite'] !== 1) return;
    const messages = command['nsInfo'].findIndex(({ ns }: Document) => ns.endsWith('.messages'));
    const inserted = command['ops'].filter(({ insert }: Document) => insert === messages);
    if (inserted.length > 0) inserts.push(inserted.length);
  });
});
beforeEach(async () => {
  owner = await signUp(server.api, 'owner');
  members = await Promise.all(['one', 'two', 'three'].map((name) => signUp(server.api, name)));
  ({ channelId } = await createRoom(server.api, owner, members));
  clients = await Promise.all([owner, ...members].map(({ token }) => connect(server.url, token)));
  inserts = [];
});
afterEach(() => {
  for (const client of clients) client.close();
});
afterAll(() => server.close());

const send = (client: Client, clientMessageId: string = randomUUID(), body = 'hello') =>
  client.ask('message:send', { channelId, clientMessageId, body });
const stored = () =>
  server.context.database.collections.messages
    .find({ channelId: new ObjectId(channelId) })
    .sort({ seq: 1 })
    .toArray();

/** The number of batches that the writer has measured, and the number of sends in them. */
async function measured(): Promise<{ count: number; sum: number }> {
  const [series] = await server.context.telemetry.histogram(METRICS.batchMessages).series();
  return { count: series?.count ?? 0, sum: series?.sum ?? 0 };
}

test('simultaneous sends share writes, and each is acknowledged when its own message is stored', async () => {
  const before = await measured();
  const found: boolean[] = [];
  const answers = await Promise.all(
    Array.from({ length: 120 }, async (_, index) => {
      const answer: any = await send(clients[index % 4]!);
      const { messages } = server.context.database.collections;
      found.push((await messages.findOne({ _id: new ObjectId(answer.data.message.id) })) !== null);
      return answer;
    }),
  );
  expect(found).toEqual(answers.map(() => true));
  expect(inserts.reduce((sum, count) => sum + count, 0)).toBe(120);
  expect(inserts.length).toBeLessThan(60);
  const { count, sum } = await measured();
  expect([count - before.count, sum - before.sum]).toEqual([inserts.length, 120]);
  const seqs = answers.map(({ data }) => data.message.seq).sort((a, b) => a - b);
  expect(seqs).toEqual(Array.from({ length: 120 }, (_, index) => index + 1));
});

test('telemetry counts each command that is sent to the database', async () => {
  let started = 0;
  const count = () => void started++;
  const { client } = server.context.database.db;
  // Between two macrotasks, no command is counted by one of the two only.
  await nextTick();
  const before = await counterOf(server, 'parley_database_commands_total', {});
  client.on('commandStarted', count);
  await Promise.all(Array.from({ length: 40 }, (_, index) => send(clients[index % 4]!)));
  await nextTick();
  expect((await counterOf(server, 'parley_database_commands_total', {})) - before).toBe(started);
  client.off('commandStarted', count);
  expect(started).toBeGreaterThan(4);
});

test('an invalid message in a batch fails alone, and leaves no gap', async () => {
  const [, quick, slow, banned] = clients as [Client, Client, Client, Client];
  const { channels, channelRestrictions } = server.context.database.collections;
  const _id = new ObjectId(channelId);
  const channel = await channels.findOneAndUpdate({ _id }, { $set: { slowModeSeconds: 600 } });
  await channelRestrictions.insertOne({
    _id: new ObjectId(),
    channelId: _id,
    groupId: channel!.groupId!,
    userId: new ObjectId(members[2]!.id),
    kind: 'banned',
    reason: '',
    restrictedBy: new ObjectId(owner.id),
    createdAt: new Date(),
    expiresAt: null,
  });
  await send(clients[0]!, 'taken', 'the first');
  const batch = await Promise.all([
    // It holds the queue while the others are collected.
    send(clients[0]!),
    send(quick, 'mine'),
    send(clients[0]!, 'taken', 'another'),
    send(banned),
    send(quick, 'mine'),
    send(slow, 'paced'),
    send(slow),
    send(clients[0]!, 'taken', 'the first'),
    send(clients[0]!, 'last'),
  ]);
  const outcome = batch.map((answer) => (answer.ok ? 'ok' : answer.error.code));
  expect(outcome).toEqual([
    'ok',
    'ok',
    'client_message_id_reused',
    'not_found',
    'ok',
    'ok',
    'slow_mode',
    'ok',
    'ok',
  ]);
  const messages = await stored();
  expect(messages.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
  expect(messages.filter(({ clientMessageId }) => clientMessageId === 'mine')).toHaveLength(1);
  // Four sockets sent concurrently, so the five valid messages were not inserted one by one.
  expect(inserts.length).toBeLessThan(5);
});

test('a retry finds its message even where a new one would not be permitted any more', async () => {
  const { channels } = server.context.database.collections;
  await channels.updateOne({ _id: new ObjectId(channelId) }, { $set: { slowModeSeconds: 600 } });
  const [, , slow] = clients as [Client, Client, Client];
  const first: any = await send(slow, 'only', 'said once');
  const answers: any[] = await Promise.all([
    send(clients[0]!),
    send(slow, 'another'),
    send(slow, 'only', 'said once'),
    send(slow, 'only', 'said otherwise'),
  ]);
  expect(answers.map((answer) => (answer.ok ? 'ok' : answer.error.code))).toEqual([
    'ok',
    'slow_mode',
    'ok',
    'client_message_id_reused',
  ]);
  expect(answers[2].data.message).toEqual(first.data.message);
  expect(await stored()).toHaveLength(2);
});

test('the same message from two sockets and over REST in one batch is stored once', async () => {
  const again = await connect(server.url, owner.token);
  clients.push(again);
  const input = { clientMessageId: 'one', body: 'hello' };
  const [first, second, rest] = await Promise.all([
    send(clients[0]!, 'one'),
    send(again, 'one'),
    server.api.post(`/api/channels/${channelId}/messages`, input, owner.token),
  ]);
  const ids = [(first as any).data.message.id, (second as any).data.message.id, rest.body.message.id];
  expect(new Set(ids).size).toBe(1);
  expect(await stored()).toHaveLength(1);
  await send(clients[0]!, 'next');
  await again.waitForMessage(({ message }) => message.clientMessageId === 'next');
  expect(again.messages.map(({ message }) => message.clientMessageId)).toEqual(['one', 'next']);
});

describe('a channel that another node has changed', () => {
  let elsewhere: TestServer;
  beforeAll(async () => {
    elsewhere = await startTestServer({}, { beside: server });
  });
  afterAll(() => elsewhere.close());

  const change = (method: 'post' | 'patch', path: string, body?: object) =>
    elsewhere.api.call(method, `/api/channels/${channelId}${path}`, { token: owner.token, body });
  const codeOf = async (client: Client) => {
    const answer: any = await send(client);
    return answer.ok ? 'ok' : answer.error.code;
  };

  test('is read again for the next message', async () => {
    const [, member] = clients as [Client, Client];
    const codes = [await codeOf(member)];
    await change('post', '/archive');
    codes.push(await codeOf(member));
    await change('post', '/restore');
    codes.push(await codeOf(member));
    await change('patch', '', { announcementOnly: true });
    codes.push(await codeOf(member), await codeOf(clients[0]!));
    await change('patch', '', { announcementOnly: false, slowModeSeconds: 600 });
    codes.push(await codeOf(member), await codeOf(member));
    expect(codes).toEqual(['ok', 'channel_archived', 'ok', 'announcement_only', 'ok', 'ok', 'slow_mode']);
    expect((await stored()).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });
});

describe('messages to many channels', () => {
  const CHANNELS = 12;
  let channelIds: string[];
  let writer: Person;
  let sender: Client;
  beforeEach(async () => {
    // Rooms of an owner who is not connected are copied, which is faster.
    writer = await signUp(server.api, 'writer');
    const rooms = await Promise.all(
      Array.from({ length: CHANNELS }, () => createRoom(server.api, writer, [], 'public')),
    );
    channelIds = rooms.map((room) => room.channelId);
    sender = await connect(server.url, writer.token);
    clients.push(sender);
  });

  const sendTo = (id: string, input: object = {}): Promise<any> =>
    sender.ask('message:send', {
      channelId: id,
      clientMessageId: randomUUID(),
      body: 'hello',
      ...input,
    });
  const sendToAll = (inputOf: (index: number) => object = () => ({})) =>
    Promise.all(channelIds.map((id, index) => sendTo(id, inputOf(index))));
  const codesOf = (answers: any[]) =>
    answers.map(({ ok, error, data }) => (ok ? data.message.seq : error.code));
  const expected = (others: number, [index, one]: [number, unknown]) =>
    channelIds.map((_, each) => (each === index ? one : others));

  test('share a transaction', async () => {
    expect(codesOf(await sendToAll())).toEqual(channelIds.map(() => 1));
    expect(inserts.length).toBeLessThan(CHANNELS / 2);
    expect(inserts.reduce((sum, count) => sum + count, 0)).toBe(CHANNELS);
  });

  /** The reads of the message path that some sends cause, by collection, without those of background work. */
  async function readsOf(work: () => Promise<unknown>): Promise<string[]> {
    const reads: string[] = [];
    const note = ({ commandName, command }: CommandStartedEvent) => {
      if (commandName === 'find') reads.push(command['find']);
    };
    const { client } = server.context.database.db;
    client.on('commandStarted', note);
    await work();
    client.off('commandStarted', note);
    const background = ['nodes', 'drafts', 'scheduled_messages', 'video_calls', 'maintenance'];
    return reads.filter((name) => !background.includes(name));
  }

  /** The reads of sends while the rights are remembered: until a round during which nobody has changed any. */
  async function readsWithKnownRights(work: () => Promise<unknown>): Promise<string[]> {
    const { database } = server.context;
    for (;;) {
      await work();
      const version = database.accessVersion();
      const reads = await readsOf(work);
      // A background job may have written what rights depend on, after which they are read again.
      if (database.accessVersion() === version) return reads;
    }
  }

  test('read nothing, also in direct conversations, when the rights of the senders are known', async () => {
    const partners = await Promise.all(Array.from({ length: 4 }, () => signUp(server.api, 'partner')));
    const started = await Promise.all(
      partners.map(({ token }) =>
        server.api.post('/api/direct-messages', { userIds: [members[0]!.id] }, token),
      ),
    );
    const sendAll = async () => {
      const direct = started.map(({ body: { conversation } }) =>
        clients[1]!.ask('message:send', {
          channelId: conversation.channel.id,
          clientMessageId: randomUUID(),
          body: 'hello',
        }),
      );
      const answers = [...(await Promise.all(direct)), ...(await sendToAll())];
      expect(answers.map(({ ok }) => ok)).toEqual(answers.map(() => true));
    };
    expect(await readsWithKnownRights(sendAll)).toEqual([]);
  });

  test('read together what their messages refer to', async () => {
    const quoted = (await sendToAll()).map(({ data }) => data.message.id as string);
    let seq = 1;
    const reads = await readsWithKnownRights(async () => {
      const answers = await sendToAll((index) => ({
        replyToId: quoted[index],
        body: index % 2 ? 'a quote' : '@nobody-of-that-name',
      }));
      seq++;
      expect(codesOf(answers)).toEqual(channelIds.map(() => seq));
    });
    // Those that arrive in the same turn share a read; how many turns it takes depends on the network.
    expect(new Set(reads)).toEqual(new Set(['messages', 'users']));
    expect(reads.length).toBeLessThan(CHANNELS);
  });

  test('are written without the one whose channel has changed, which is decided again', async () => {
    await sendToAll();
    // As another node changes it: this one does not learn of it.
    const { channels } = server.context.database.collections;
    await channels.updateOne(
      { _id: new ObjectId(channelIds[5]) },
      { $set: { archivedAt: new Date() }, $inc: { revision: 1 } },
    );
    expect(codesOf(await sendToAll())).toEqual(expected(2, [5, 'channel_archived']));
  });

  test('are written without the one that was sent before', async () => {
    const [first] = await sendToAll((index) => ({ clientMessageId: index === 0 ? 'once' : randomUUID() }));
    const again = await sendToAll((index) => ({ clientMessageId: index === 0 ? 'once' : randomUUID() }));
    expect(codesOf(again)).toEqual(expected(2, [0, 1]));
    expect(again[0].data.message.id).toBe(first.data.message.id);
  });

  test('are acknowledged and published once when the outcome of their transaction is lost', async () => {
    const { transactions } = server.context.database;
    const run = transactions.run.bind(transactions);
    let lost = 0;
    transactions.run = async (work) => {
      const result = await run(work);
      if (inserts.length === 0 || lost++ > 0) return result;
      throw new Error('The connection was lost after the commit.');
    };
    const answers = await sendToAll();
    transactions.run = run;
    expect(lost).toBeGreaterThan(0);
    expect(codesOf(answers)).toEqual(channelIds.map(() => 1));
    const ids = answers.map(({ data }) => data.message.id);
    await until(() => ids.every((id) => sender.messages.some(({ message }) => message.id === id)));
    expect(sender.messages.map(({ message }) => message.id).sort()).toEqual([...ids].sort());
  });

  test('do not wait for one in conflict with another writer', async () => {
    const { collections, transactions } = server.context.database;
    const held = channelIds.slice(0, 3);
    let release = () => {};
    const holding = transactions.run(async () => {
      for (const id of held) await lock(collections.channels, { _id: new ObjectId(id) });
      await new Promise<void>((resolve) => (release = resolve));
    });
    // The transaction has locked the channels when it waits.
    await until(() => release.toString() !== '() => {}');
    const inConflict = held.map((id) => sendTo(id));
    const others = channelIds.slice(3);
    for (let times = 1; times <= 3; times++) {
      expect(codesOf(await Promise.all(others.map((id) => sendTo(id))))).toEqual(others.map(() => times));
    }
    release();
    await holding;
    expect(codesOf(await Promise.all(inConflict))).toEqual([1, 1, 1]);
  });

  /** What each command that inserts messages has inserted, in the order in which they were sent. */
  function insertsFrom(): { channelId: string; clientMessageId: string }[][] {
    const batches: { channelId: string; clientMessageId: string }[][] = [];
    const note = ({ command }: CommandStartedEvent) => {
      if (command['bulkWrite'] !== 1) return;
      const inserted = command['ops'].flatMap(({ insert, document }: Document) =>
        insert !== undefined && document.clientMessageId
          ? { channelId: document.channelId.toHexString(), clientMessageId: document.clientMessageId }
          : [],
      );
      if (inserted.length > 0) batches.push(inserted);
    };
    const { client } = server.context.database.db;
    client.on('commandStarted', note);
    stopNoting = () => void client.off('commandStarted', note);
    return batches;
  }
  let stopNoting = () => {};
  afterEach(() => stopNoting());

  test('are delayed by at most one batch of a channel in which hundreds wait', async () => {
    const [busy, ...quiet] = channelIds as [string, ...string[]];
    const userId = new ObjectId(writer.id);
    const caller = { userId, sessionId: new ObjectId(), role: 'client', address: '' } as const;
    const sendAtOnce = (id: string) =>
      server.context.services.messages.send(caller, id, { clientMessageId: randomUUID(), body: 'hello' });
    const batches = insertsFrom();
    const isBusy = (batch: { channelId: string }[]) => batch.some(({ channelId: id }) => id === busy);
    let waiting = 1200;
    const flood = Array.from({ length: waiting }, () => sendAtOnce(busy).then(() => waiting--));
    await until(() => batches.length > 0);
    const delays: number[] = [];
    for (const id of quiet.slice(0, 4)) {
      const before = batches.length;
      await sendAtOnce(id);
      const own = batches.findIndex((batch) => batch.some(({ channelId: each }) => each === id));
      delays.push(batches.slice(before, own).filter(isBusy).length);
      // Otherwise nothing has shown that it does not wait for the others.
      if (id === quiet[0]) expect(waiting).toBeGreaterThan(256);
    }
    await Promise.all(flood);
    expect(Math.max(...delays)).toBeLessThanOrEqual(1);
    expect(Math.max(...batches.filter(isBusy).map((batch) => batch.length))).toBeLessThanOrEqual(
      256 + quiet.length,
    );
    // Batches follow each other quickly, and are published in their order nevertheless.
    const received = () => sender.messages.filter(({ message }) => message.channelId === busy);
    await until(() => received().length === flood.length);
    expect(received().map(({ message }) => message.seq)).toEqual(flood.map((_, index) => index + 1));
  });

  test('are written at the second attempt beside a channel that another writer changes all the time', async () => {
    const { collections, transactions } = server.context.database;
    const [disputed, ...others] = channelIds as [string, ...string[]];
    const run = transactions.run.bind(transactions);
    transactions.run = async (work) => {
      const _id = new ObjectId(disputed);
      await transactions.outside(() => collections.channels.updateOne({ _id }, { $inc: { revision: 1 } }));
      return run(work);
    };
    const batches = insertsFrom();
    const inDispute = sendTo(disputed);
    for (let times = 1; times <= 3; times++) {
      expect(codesOf(await Promise.all(others.map((id) => sendTo(id))))).toEqual(others.map(() => times));
    }
    transactions.run = run;
    expect(codesOf([await inDispute])).toEqual([1]);
    const attempts = new Map<string, number>();
    for (const { channelId: id, clientMessageId } of batches.flat()) {
      if (id !== disputed) attempts.set(clientMessageId, (attempts.get(clientMessageId) ?? 0) + 1);
    }
    expect(attempts.size).toBe(3 * others.length);
    expect(Math.max(...attempts.values())).toBeLessThanOrEqual(2);
    expect(batches.flat().filter(({ channelId: id }) => id === disputed).length).toBeGreaterThan(1);
  });
});

describe.each([
  ['with the bulkWrite command', true],
  ['with one command for each collection', false],
])('a transaction of many channels, %s', (_, bulkWrite) => {
  const CHANNELS = 4;
  let node: TestServer;
  let people: [Person, Person];
  let sockets: [Client, Client];
  let rooms: { id: string; rootId: string }[];
  let others: string[];
  beforeAll(async () => {
    node = await startTestServer({}, { monitorCommands: true, bulkWrite });
    await signUp(node.api, 'root');
    people = [await signUp(node.api, 'ann'), await signUp(node.api, 'ben')];
    sockets = [await connect(node.url, people[0].token), await connect(node.url, people[1].token)];
  });
  beforeEach(async () => {
    rooms = [];
    for (let index = 0; index < CHANNELS; index++) {
      const { channelId: id } = await createRoom(node.api, people[0], [people[1]]);
      const { data }: any = await ask(0, id, { body: 'root' });
      rooms.push({ id, rootId: data.message.id });
    }
    others = [];
    for (let index = 0; index < 2; index++) {
      others.push((await createRoom(node.api, people[0], [people[1]])).channelId);
    }
  });
  afterAll(async () => {
    for (const socket of sockets ?? []) socket.close();
    await node?.close();
  });

  const ask = (by: 0 | 1, id: string, input: object): Promise<any> =>
    sockets[by].ask('message:send', {
      channelId: id,
      clientMessageId: randomUUID(),
      body: 'hello',
      ...input,
    });
  const queue = async (name: 'waiting' | 'running') => {
    const series = await node.context.telemetry.seriesOf(`parley_queue_${name}`);
    return series.find(({ labels }) => labels['queue'] === 'message_committer')?.value;
  };

  /** Sends to all channels, whose batches share a transaction. @returns the answers, and the commands that write. */
  async function sendToAll(inputs: object[]): Promise<{ answers: any[]; written: string[] }> {
    const { transactions, db } = node.context.database;
    const run = transactions.run.bind(transactions);
    let open = () => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    transactions.run = async (work) => {
      await opened;
      return run(work);
    };
    // While two transactions run, the batches of all other channels wait together.
    const sends: Promise<any>[] = [];
    for (const [index, id] of others.entries()) {
      sends.push(ask(1, id, {}));
      await until(async () => (await queue('running')) === index + 1 && (await queue('waiting')) === 0);
    }
    const answers = rooms.map(({ id }, index) => ask(1, id, inputs[index]!));
    await until(async () => (await queue('waiting')) === CHANNELS);
    const names: string[] = [];
    const note = ({ commandName }: CommandStartedEvent) => void names.push(commandName);
    db.client.on('commandStarted', note);
    open();
    transactions.run = run;
    await Promise.all([...sends, ...answers]);
    db.client.off('commandStarted', note);
    const writing = names.filter((name) => /^(bulkWrite|insert|update|delete|findAndModify)$/.test(name));
    return { answers: await Promise.all(answers), written: writing };
  }

  test('writes replies, mentions, files and slow mode with the messages', async () => {
    const { collections } = node.context.database;
    await collections.channels.updateOne(
      { _id: new ObjectId(rooms[1]!.id) },
      { $set: { slowModeSeconds: 600 }, $inc: { revision: 1 } },
    );
    // The node learns of it with this message of the owner, to whom it does not apply.
    await ask(0, rooms[1]!.id, {});
    const inputs = await Promise.all(
      rooms.map(async ({ rootId }, index) => {
        const body = `@${people[0].username} look`;
        if (index === 1) return { threadId: rootId, body };
        const file = await upload(node.api, people[1]);
        return { attachmentIds: [file.id], body: index === 2 ? '' : body };
      }),
    );
    const { answers, written } = await sendToAll(inputs);
    expect(answers.map(({ ok, error }) => (ok ? 'ok' : error))).toEqual(rooms.map(() => 'ok'));
    // The two transactions before it write to channels, messages and markers.
    const before = bulkWrite
      ? ['bulkWrite', 'bulkWrite']
      : ['update', 'update', 'insert', 'insert', 'update', 'update'];
    const own = ['uploads', 'channels', 'follows', 'markers', 'marks', 'roots'].map(() => 'update');
    own[2] = 'insert';
    own.push('insert', 'insert');
    expect(written.sort()).toEqual([...before, ...(bulkWrite ? ['bulkWrite'] : own)].sort());
    const messages = answers.map(({ data }) => data.message);
    const ids = messages.map(({ id }) => new ObjectId(id));
    const notified = await collections.notifications.find({ messageId: { $in: ids } }).toArray();
    expect(notified.map(({ userId }) => userId.toHexString())).toEqual([0, 1, 3].map(() => people[0].id));
    const used = await collections.uploads
      .find({
        _id: {
          $in: messages.flatMap(({ attachments }) => attachments.map((file: any) => new ObjectId(file.id))),
        },
      })
      .toArray();
    expect(used.map(({ uses }) => uses)).toEqual([1, 1, 1]);
    const userId = new ObjectId(people[1].id);
    const marks = await collections.slowModeMarks.find({ userId }).toArray();
    expect(marks.map(({ channelId: of }) => of.toHexString())).toEqual([rooms[1]!.id]);
    const root = await collections.messages.findOne({ _id: new ObjectId(rooms[1]!.rootId) });
    const reply = messages[1];
    const replies = await collections.messages.countDocuments({ threadId: root!._id });
    expect([root!.replyCount, root!.lastReplyAt, root!.revision]).toEqual([
      replies,
      new Date(reply.createdAt),
      reply.revision + 1,
    ]);
    const follows = await collections.threadFollows
      .find({ threadId: root!._id })
      .sort({ readSeq: 1 })
      .toArray();
    expect(follows.map((one) => [one.userId.toHexString(), one.following, one.readSeq])).toEqual([
      [people[0].id, true, 1],
      [people[1].id, true, reply.seq],
    ]);
    const channel = await collections.channels.findOne({ _id: new ObjectId(rooms[1]!.id) });
    expect([channel!.seq, channel!.revision]).toEqual([reply.seq, root!.revision]);
    const readUpTo = await Promise.all(
      rooms.map(async ({ id }) => {
        const marker = await collections.channelReads.findOne({ userId, channelId: new ObjectId(id) });
        return marker?.seq;
      }),
    );
    // A reply in a thread does not move the marker.
    const [first, , third, fourth] = readUpTo;
    expect([first, third, fourth]).toEqual([2, 2, 2]);
    expect(readUpTo[1]).not.toBe(reply.seq);
  });

  test('takes out the channels that have changed, and the messages that were sent before', async () => {
    const { collections } = node.context.database;
    await ask(1, rooms[0]!.id, { clientMessageId: 'once' });
    await sendToAll(rooms.map(() => ({})));
    for (const index of [2, 3]) {
      await collections.channels.updateOne(
        { _id: new ObjectId(rooms[index]!.id) },
        { $set: { archivedAt: index === 2 ? new Date() : null }, $inc: { revision: 1 } },
      );
    }
    const { answers } = await sendToAll(
      rooms.map((_room, index) => (index === 0 ? { clientMessageId: 'once' } : {})),
    );
    expect(answers.map(({ ok, error }) => (ok ? 'ok' : error.code))).toEqual([
      'ok',
      'ok',
      'channel_archived',
      'ok',
    ]);
    for (const { id } of rooms) {
      const of = { channelId: new ObjectId(id) };
      const { seq } = (await collections.channels.findOne({ _id: of.channelId }))!;
      expect(await collections.messages.countDocuments(of)).toBe(seq);
    }
  });

  test('decides again about a thread whose followers have changed since it was read', async () => {
    const { collections } = node.context.database;
    const { id, rootId } = rooms[0]!;
    const threadId = new ObjectId(rootId);
    const { threadFollows } = collections;
    const userId = new ObjectId(people[0].id);
    const find = threadFollows.find.bind(threadFollows);
    let changes = [
      // As the author of the root follows and unfollows it on another node.
      () =>
        threadFollows.insertOne({
          _id: new ObjectId(),
          userId,
          channelId: new ObjectId(id),
          threadId,
          following: false,
          readSeq: 0,
        }),
    ];
    threadFollows.find = ((filter: object, options: object) => {
      const cursor = find(filter, options);
      const toArray = cursor.toArray.bind(cursor);
      cursor.toArray = async () => {
        const found = await toArray();
        await changes.shift()?.();
        return found;
      };
      return cursor;
    }) as typeof find;
    expect((await ask(1, id, { threadId: rootId })).ok).toBe(true);
    changes = [
      () =>
        threadFollows.updateOne(
          { threadId, userId: new ObjectId(people[1].id) },
          { $set: { following: false } },
        ) as any,
    ];
    const { data } = await ask(1, id, { threadId: rootId });
    threadFollows.find = find;
    const follows = await threadFollows.find({ threadId }).sort({ readSeq: 1 }).toArray();
    expect(follows.map((one) => [one.userId.toHexString(), one.following, one.readSeq])).toEqual([
      [people[0].id, false, 0],
      [people[1].id, true, data.message.seq],
    ]);
  });
});
