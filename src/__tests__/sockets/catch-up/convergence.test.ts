import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { openDevice, type Device } from '../../fixtures/chat-device';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

/**
 * Several clients end in the state of a fresh read, whatever happens to them and to the server. `FUZZ_SECONDS=600` runs
 * the test for ten minutes, `FUZZ_SEED` selects another sequence.
 */
const SECONDS = Number(process.env['CONVERGENCE_SECONDS'] ?? 0);
const SEED = Number(process.env['CONVERGENCE_SEED'] ?? 20_266);
const RUNS = 4;

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  await signUp(server.api, 'root');
});
afterAll(() => server.close());

/** An action of a user, or an event in the environment. Numbers choose among the objects that exist at that moment. */
type Step =
  | { kind: 'send' | 'reply' | 'lose ack' | 'send twice'; device: number; channel: number; text: number }
  | { kind: 'edit' | 'delete'; device: number; channel: number; pick: number; text: number }
  | { kind: 'react' | 'unreact' | 'pin' | 'unpin'; device: number; channel: number; pick: number }
  | { kind: 'read' | 'unread'; device: number; channel: number; pick: number }
  | { kind: 'history' | 'members'; device: number; channel: number }
  | { kind: 'take in' | 'take out'; person: number; channel: number }
  | { kind: 'open' | 'close' | 'topic'; channel: number }
  | { kind: 'leave group' | 'come to group'; person: number }
  | { kind: 'break' | 'go' | 'come'; device: number }
  | { kind: 'restart' };

const small = fc.nat(7);
const oneOf = <Kind extends string>(...kinds: Kind[]) => fc.constantFrom(...kinds);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: oneOf('send', 'send', 'reply', 'lose ack', 'send twice'),
      device: small,
      channel: small,
      text: small,
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: oneOf('edit', 'delete'),
      device: small,
      channel: small,
      pick: small,
      text: small,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: oneOf('read', 'unread'), device: small, channel: small, pick: small }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: oneOf('react', 'react', 'unreact', 'pin', 'unpin'),
      device: small,
      channel: small,
      pick: small,
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: oneOf('history', 'members'), device: small, channel: small }) },
  { weight: 3, arbitrary: fc.record({ kind: oneOf('take in', 'take out'), person: small, channel: small }) },
  { weight: 2, arbitrary: fc.record({ kind: oneOf('open', 'close', 'topic'), channel: small }) },
  { weight: 1, arbitrary: fc.record({ kind: oneOf('leave group', 'come to group'), person: small }) },
  { weight: 4, arbitrary: fc.record({ kind: oneOf('break', 'go', 'come'), device: small }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'restart' }) },
);

/** A group of three users, with a public channel and two private ones. The owner has two devices. */
interface Fixture {
  people: Person[];
  devices: Device[];
  groupId: string;
  channelIds: string[];
  sent: Set<string>;
  failures: string[];
}

async function membersOf(channelId: string): Promise<string[]> {
  const { channelMembers } = server.context.database.collections;
  const rows = await channelMembers.find({ channelId: new ObjectId(channelId) }).toArray();
  return rows.map(({ userId }) => userId.toHexString());
}

async function createFixture(): Promise<Fixture> {
  const { api, url } = server;
  const people = [await signUp(api, 'ada'), await signUp(api, 'bruno'), await signUp(api, 'chiara')];
  const owner = people[0]!;
  const group = await api.post('/api/groups', { name: randomUUID(), visibility: 'public' }, owner.token);
  const groupId: string = group.body.group.id;
  const channelIds: string[] = [];
  for (const visibility of ['public', 'private', 'private']) {
    const input = { groupId, name: randomUUID(), visibility };
    channelIds.push((await api.post('/api/channels', input, owner.token)).body.channel.id);
  }
  for (const { id } of people.slice(1)) {
    await api.post(`/api/groups/${groupId}/members`, { userId: id }, owner.token);
    await api.post(`/api/channels/${channelIds[1]}/members`, { userId: id }, owner.token);
  }
  const devices = [owner, ...people].map((person) => openDevice(url, api, person, membersOf));
  return { people, devices, groupId, channelIds, sent: new Set(), failures: [] };
}

/** Calls until the server answers, which it does not while it restarts. */
async function call(
  fixture: Fixture,
  by: Person,
  method: 'get' | 'post' | 'put' | 'patch' | 'delete',
  path: string,
  body?: object,
) {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const answer = await server.api.call(method, path, { token: by.token, body }).catch((error: unknown) => {
      if (Date.now() > deadline) throw error;
      return undefined;
    });
    if (answer && answer.status >= 500) fixture.failures.push(`${method} ${path}: ${answer.body.error.code}`);
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const TEXTS = ['hello', 'well', 'so', 'yes', 'no', '@channel look', 'hi @', '@'];

async function take(fixture: Fixture, one: Step): Promise<void> {
  const { people, devices, groupId, channelIds } = fixture;
  const [owner] = people as [Person];
  const at = <Item>(items: readonly Item[], index: number) => items[index % items.length]!;
  const channelId = 'channel' in one ? at(channelIds, one.channel) : '';
  const device = 'device' in one ? at(devices, one.device) : at(devices, 0);
  const person = 'person' in one ? at(people.slice(1), one.person) : owner;
  const shown = device.chat.state.channels.get(channelId)?.messages ?? [];
  const text = (index: number) => {
    const words = at(TEXTS, index);
    return words.endsWith('@')
      ? `${words}${at(people, index + channelIds.indexOf(channelId)).username}`
      : words;
  };
  const send = (extra: object = {}) => {
    const clientMessageId = randomUUID();
    fixture.sent.add(clientMessageId);
    const content = { body: 'text' in one ? text(one.text) : '', ...extra };
    device.chat.send(channelId, content, clientMessageId);
    return { clientMessageId, ...content };
  };

  switch (one.kind) {
    case 'send':
      send();
      return;
    case 'reply': {
      const root = shown.find(({ threadId, deletedAt }) => !threadId && !deletedAt);
      send(root ? { threadId: root.id } : {});
      return;
    }
    case 'lose ack':
      send();
      device.breakConnection();
      return;
    case 'send twice': {
      const input = send();
      await call(fixture, device.person, 'post', `/api/channels/${channelId}/messages`, input);
      return;
    }
    case 'edit':
    case 'delete': {
      const own = shown.filter(({ senderId }) => senderId === device.person.id || one.kind === 'delete');
      if (own.length === 0) return;
      const path = `/api/messages/${at(own, one.pick).id}`;
      if (one.kind === 'delete') await call(fixture, device.person, 'delete', path);
      else await call(fixture, device.person, 'patch', path, { body: `${text(one.text)}, that is` });
      return;
    }
    case 'react':
    case 'unreact':
    case 'pin':
    case 'unpin': {
      if (shown.length === 0) return;
      const mark = one.kind.endsWith('react') ? `reactions/${encodeURIComponent('👍')}` : 'pin';
      const path = `/api/messages/${at(shown, one.pick).id}/${mark}`;
      await call(fixture, device.person, one.kind.startsWith('un') ? 'delete' : 'put', path);
      return;
    }
    case 'read':
      await device.chat.markRead(channelId, at(shown, one.pick)?.seq ?? one.pick);
      return;
    case 'unread':
      await device.chat.markUnread(channelId, at(shown, one.pick)?.seq ?? one.pick + 1);
      return;
    case 'history':
      // It may be deleted, or the server may be down; then it is loaded later.
      await device.chat.loadHistory(channelId).catch(() => undefined);
      return;
    case 'members':
      await device.chat.loadMembers(channelId);
      return;
    case 'take in':
      await call(fixture, owner, 'post', `/api/channels/${channelId}/members`, { userId: person.id });
      return;
    case 'take out':
      await call(fixture, owner, 'delete', `/api/channels/${channelId}/members/${person.id}`);
      return;
    case 'open':
    case 'close': {
      const visibility = one.kind === 'open' ? 'public' : 'private';
      await call(fixture, owner, 'patch', `/api/channels/${channelId}`, { visibility });
      return;
    }
    case 'topic':
      await call(fixture, owner, 'patch', `/api/channels/${channelId}`, { topic: randomUUID() });
      return;
    case 'leave group':
      await call(fixture, owner, 'delete', `/api/groups/${groupId}/members/${person.id}`);
      return;
    case 'come to group':
      await call(fixture, owner, 'post', `/api/groups/${groupId}/members`, { userId: person.id });
      return;
    case 'break':
      device.breakConnection();
      return;
    case 'go':
      device.socket.disconnect();
      return;
    case 'come':
      device.socket.connect();
      return;
    case 'restart':
      await server.restart();
  }
}

/** The state that a new client reads over REST. */
async function freshRead(fixture: Fixture, person: Person) {
  const { body } = await call(fixture, person, 'get', `/api/channels?groupId=${fixture.groupId}&limit=200`);
  const channels = new Map<string, { channel: any; read: any; messages: any[]; members: string[] }>();
  for (const channel of body.channels ?? []) {
    const path = `/api/channels/${channel.id}`;
    const { summary } = (await call(fixture, person, 'get', `${path}/summary`)).body;
    const { readSeq, unread, mentions } = summary;
    const { messages } = (await call(fixture, person, 'get', `${path}/messages?limit=200`)).body;
    const read = { readSeq, unread, mentions };
    channels.set(channel.id, {
      channel,
      read,
      messages: messages.reverse(),
      members: await membersOf(channel.id),
    });
  }
  return channels;
}

async function expectFresh(fixture: Fixture, { person, chat }: Device): Promise<void> {
  const fresh = await freshRead(fixture, person);
  const { channels, outbox } = chat.state;
  expect([...channels.keys()].sort()).toEqual([...fresh.keys()].sort());
  for (const [channelId, { channel, read, messages, members }] of fresh) {
    const known = channels.get(channelId)!;
    expect(known.channel).toEqual(channel);
    expect(known.revision).toBe(channel.revision);
    const { readSeq, unread, mentions } = known.read;
    expect({ channelId, readSeq, unread, mentions }).toEqual({ channelId, ...read });
    if (known.messages) expect(known.messages).toEqual(messages.filter(({ seq }) => seq >= known.from));
    if (known.members) expect([...known.members].sort()).toEqual([...members].sort());
    // Each of the user's own messages exists once, and none is pending.
    const own = messages.filter(({ senderId }) => senderId === person.id);
    expect(new Set(own.map(({ clientMessageId }) => clientMessageId)).size).toBe(own.length);
  }
  expect(outbox.filter(({ refused }) => refused === undefined)).toEqual([]);
}

/** @param waits for each step, whether it completes before the next one starts. */
async function play(steps: readonly { step: Step; wait: boolean }[]): Promise<void> {
  const fixture = await createFixture();
  try {
    await Promise.all(fixture.devices.map((device) => device.settle()));
    const { channelIds, devices } = fixture;
    for (const { chat } of devices)
      for (const id of channelIds) await chat.loadHistory(id).catch(() => undefined);
    let running: Promise<void>[] = [];
    for (const { step: one, wait } of steps) {
      // Two concurrent restarts are not possible.
      if (one.kind === 'restart') running = await Promise.all(running).then(() => []);
      const taken = take(fixture, one);
      if (wait || one.kind === 'restart') await taken;
      else running.push(taken);
    }
    await Promise.all(running);
    for (const { socket } of devices) socket.connect();
    for (const device of devices) await device.settle();
    // The last message of each has reached the others, before their second answer.
    for (const device of devices) await device.settle();
    for (const device of devices) await expectFresh(fixture, device);
    for (const person of fixture.people) {
      const { body } = await call(fixture, person, 'get', '/api/client/verify');
      expect(body.drift).toEqual([]);
    }
    expect(fixture.failures).toEqual([]);
  } finally {
    for (const { socket } of fixture.devices) socket.disconnect();
  }
}

test(
  'clients that were offline and clients that were online end with the state of a fresh read',
  async () => {
    if (SECONDS > 0) console.log(`seed ${SEED}`);
    const steps = fc.array(fc.record({ step, wait: fc.boolean() }), { minLength: 10, maxLength: 60 });
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        runs++;
        await play(taken);
      }),
      {
        seed: SEED,
        ...(SECONDS > 0
          ? { numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000, endOnFailure: true }
          : { numRuns: RUNS, endOnFailure: true }),
      },
    );
    if (SECONDS > 0) console.log(`${runs} runs`);
  },
  120_000 + SECONDS * 1500,
);
