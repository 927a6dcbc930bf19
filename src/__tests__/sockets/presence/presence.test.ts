import { ObjectId } from 'mongodb';
import type { PresenceStatus } from '../../../models/presence/presence.model';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { connectRaw } from '../../fixtures/raw-client';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

let server: TestServer;
let root: Person;
let ada: Person;
let bob: Person;
let groupId: string;
let channelId: string;
let watcher: Client;
const clients: Client[] = [];

const PONG_SECONDS = 4;

beforeAll(async () => {
  server = await startTestServer({
    SOCKET_PING_SECONDS: '1',
    SOCKET_PONG_SECONDS: String(PONG_SECONDS),
    PRESENCE_GRACE_SECONDS: '1',
    PRESENCE_AWAY_SECONDS: '3',
  });
  root = await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ ada, bob } = await signUpAll(server.api, 'ada', 'bob'));
  ({ groupId, channelId } = await createRoom(server.api, ada, [bob]));
  watcher = await connectClient(ada);
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

async function connectClient(person: Person): Promise<Client> {
  const client = await connect(server.url, person.token);
  clients.push(client);
  return client;
}

/** The statuses of a user that a client has received, in order. */
const seen = (client: Client, { id }: Person): PresenceStatus[] =>
  client.events
    .filter(({ event }) => event === 'presence:changed')
    .flatMap(({ payload }) => Object.entries<string[]>(payload).filter(([, ids]) => ids.includes(id)))
    .map(([status]) => status as PresenceStatus);

/** Waits until a client has received these statuses. */
const sees = async (client: Client, person: Person, statuses: PresenceStatus[]) => {
  await client.waitFor('presence:changed', () => seen(client, person).length >= statuses.length);
  expect(seen(client, person)).toEqual(statuses);
};

const presenceOf = (person: Person, by: Person) =>
  server.api.get(`/api/users/${person.id}/presence`, by.token);
const inChannel = async (by: Person, query: object = {}) =>
  (await server.api.get(`/api/channels/${channelId}/presence`, by.token, { ...query })).body;
const prefer = async (person: Person, preferences: object) =>
  expect((await server.api.patch('/api/client/preferences', preferences, person.token)).status).toBe(200);
const lastSeen = async (person: Person, by: Person): Promise<number> =>
  Date.parse((await presenceOf(person, by)).body.presence.lastSeenAt);

test('a user is online while any device is active, and offline when the last one has disconnected', async () => {
  const [phone, laptop] = [await connectClient(bob), await connectClient(bob)];
  await sees(watcher, bob, ['online']);
  expect((await phone.ask('presence:report', { active: false })).ok).toBe(true);
  // The other device is still active.
  expect(await laptop.ask('presence:report', { active: true })).toEqual({
    ok: true,
    data: { status: 'online' },
  });
  expect(await laptop.ask('presence:report', { active: false })).toEqual({
    ok: true,
    data: { status: 'away' },
  });
  await sees(watcher, bob, ['online', 'away']);
  // Every action on a device counts as activity.
  await phone.ask('message:send', { channelId, clientMessageId: 'x', body: 'I am back' });
  await sees(watcher, bob, ['online', 'away', 'online']);
  phone.close();
  await sees(watcher, bob, ['online', 'away', 'online', 'away']);
  const before = Date.now();
  laptop.close();
  await sees(watcher, bob, ['online', 'away', 'online', 'away', 'offline']);
  await until(async () => (await lastSeen(bob, ada)) > 0);
  expect(await lastSeen(bob, ada)).toBeLessThanOrEqual(before);
  expect((await presenceOf(bob, ada)).body.presence.status).toBe('offline');
});

test('reloading a page sends no change, and a log-out applies at once', async () => {
  const first = await connectClient(bob);
  await sees(watcher, bob, ['online']);
  first.close();
  // In between, the user is online in every view.
  await until(() => server.context.services.connections.connectionsOf(bob.id).length === 0);
  expect((await presenceOf(bob, ada)).body.presence.status).toBe('online');
  expect((await inChannel(ada)).presences).toHaveLength(2);
  const again = await connectClient(bob);
  await again.ask('presence:report', { active: false });
  await sees(watcher, bob, ['online', 'away']);
  await server.api.post('/api/auth/logout', undefined, bob.token);
  expect((await presenceOf(bob, ada)).body.presence.status).toBe('offline');
  await sees(watcher, bob, ['online', 'away', 'offline']);
});

test('an inactive user becomes away, even if the client refreshes its token', async () => {
  const client = await connectClient(bob);
  await sees(watcher, bob, ['online']);
  await client.ask('auth:refresh', { token: bob.token });
  await sees(watcher, bob, ['online', 'away']);
});

test('do not disturb is shown until it ends', async () => {
  await prefer(bob, { doNotDisturbUntil: new Date(Date.now() + 2500).toISOString() });
  const client = await connectClient(bob);
  await sees(watcher, bob, ['do_not_disturb']);
  const stays = setInterval(() => void client.ask('presence:report', { active: true }), 500);
  await sees(watcher, bob, ['do_not_disturb', 'online']).finally(() => clearInterval(stays));
  await prefer(bob, { doNotDisturbUntil: new Date(Date.now() + 3_600_000_000_000).toISOString() });
  await sees(watcher, bob, ['do_not_disturb', 'online', 'do_not_disturb']);
  await prefer(bob, { doNotDisturbUntil: null });
  await sees(watcher, bob, ['do_not_disturb', 'online', 'do_not_disturb', 'online']);
});

describe('an invisible user', () => {
  it('appears offline everywhere', async () => {
    await connectClient(bob);
    await sees(watcher, bob, ['online']);
    await prefer(bob, { invisible: true });
    await sees(watcher, bob, ['online', 'offline']);
    await until(async () => (await lastSeen(bob, ada)) > 0);
    const left = await lastSeen(bob, ada);
    const summary = await server.api.get(`/api/channels/${channelId}/summary`, ada.token);
    expect(summary.body.summary.membersOnline).toBe(1);
    expect((await inChannel(ada)).presences).toEqual([
      { userId: ada.id, status: 'online', lastSeenAt: null },
    ]);
    // A device that connects and disconnects meanwhile, and an event: nobody is informed.
    const second = await connectClient(bob);
    expect(await second.ask('typing:start', { channelId })).toEqual({ ok: true, data: {} });
    expect(await second.ask('presence:report', { active: true })).toMatchObject({
      data: { status: 'offline' },
    });
    second.close();
    await prefer(bob, { invisible: false });
    await sees(watcher, bob, ['online', 'offline', 'online']);
    expect(watcher.events.some(({ event }) => event === 'typing:changed')).toBe(false);
    expect(left).toBeGreaterThan(0);
  });

  it('does not change when they were last seen', async () => {
    const seenAt = new Date('2026-01-01T00:00:00.000Z');
    const { users } = server.context.database.collections;
    await users.updateOne({ _id: new ObjectId(bob.id) }, { $set: { lastSeenAt: seenAt } });
    await prefer(bob, { invisible: true });
    const client = await connectClient(bob);
    await client.ask('message:send', { channelId, clientMessageId: 'unseen', body: 'Boo' });
    client.close();
    const { connections } = server.context.services;
    await until(() => connections.connectionsOf(bob.id).length === 0);
    const third = await connectClient(root);
    await sees(third, root, ['online']);
    expect(await lastSeen(bob, ada)).toBe(seenAt.getTime());
    expect(seen(watcher, bob)).toEqual([]);
  });
});

describe('only users who share a group or a channel with a user', () => {
  it('receive and may request their presence', async () => {
    const carl = await signUp(server.api, 'carl');
    const stranger = await connectClient(carl);
    await connectClient(bob);
    await sees(watcher, bob, ['online']);
    expect((await presenceOf(bob, carl)).body.error.code).toBe('forbidden');
    expect((await presenceOf(carl, carl)).body.presence.status).toBe('online');
    expect((await presenceOf({ ...bob, id: 'f'.repeat(24) }, carl)).body.error.code).toBe('not_found');
    expect((await presenceOf(bob, root)).status).toBe(200);
    expect((await server.api.get(`/api/channels/${channelId}/presence`, carl.token)).status).toBe(404);
    // A new member is sent to the members who are online, and receives their presence.
    await server.api.post(`/api/groups/${groupId}/members`, { userId: carl.id }, ada.token);
    await sees(watcher, carl, ['online']);
    expect(seen(stranger, bob)).toEqual([]);
    const device = await connectClient(bob);
    await device.ask('presence:report', { active: false });
    await server.api.post('/api/auth/logout', undefined, bob.token);
    await sees(stranger, bob, ['offline']);
    // A removed member receives no presence, and theirs is not sent any more.
    await server.api.delete(`/api/groups/${groupId}/members/${carl.id}`, ada.token);
    const received = seen(watcher, carl).length;
    stranger.close();
    const login = { identifier: bob.username, password: PASSWORD };
    const { body } = await server.api.post('/api/auth/login', login);
    const back = await connectClient({ ...bob, token: body.accessToken });
    await sees(back, bob, ['online']);
    await until(() => server.context.services.connections.connectionsOf(carl.id).length === 0);
    expect((await presenceOf(bob, carl)).body.error.code).toBe('forbidden');
    expect(seen(stranger, bob)).toEqual(['offline']);
    expect(seen(watcher, carl)).toHaveLength(received);
  });

  it('are listed page by page, without those who are banned from the channel', async () => {
    const people = await Promise.all([1, 2, 3].map(() => signUp(server.api, 'many')));
    for (const person of people) {
      await server.api.post(`/api/groups/${groupId}/members`, { userId: person.id }, ada.token);
      await connectClient(person);
    }
    const ids: string[] = [];
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page = await inChannel(ada, { limit: 3, ...(cursor && { cursor }) });
      ids.push(...page.presences.map(({ userId }: { userId: string }) => userId));
      cursor = page.nextCursor;
    }
    expect(ids).toEqual([ada, ...people].map(({ id }) => id).sort());
    const userId = new ObjectId(people[0]!.id);
    const about = { userId, channelId: new ObjectId(channelId), groupId: new ObjectId(groupId) };
    await server.context.bus.publish({ type: 'channel_ban.added', ...about, isNew: false });
    expect((await inChannel(ada)).presences).toHaveLength(3);
    const ended = { ...about, isMember: false, channel: null };
    await server.context.bus.publish({ type: 'channel_ban.ended', ...ended });
    expect((await inChannel(ada)).presences).toHaveLength(4);
  });
});

test('a user whose connection dies silently is offline within the documented time', async () => {
  const since = Date.now();
  const dead = await connectRaw(server.url, bob.token, { answersPings: false });
  await sees(watcher, bob, ['online']);
  dead.webSocket.pause();
  await sees(watcher, bob, ['online', 'away', 'offline']);
  // The ping, its answer, the grace period, and the batch window of one second; plus time for a busy machine.
  expect(Date.now() - since).toBeLessThan((1 + PONG_SECONDS + 1 + 1 + 3) * 1000);
  dead.webSocket.terminate();
});

test('a stopping server stores when it saw the users who were online', async () => {
  const other = await startTestServer();
  const carl = await signUp(other.api, 'carl');
  const client = await connect(other.url, carl.token);
  const received = client.waitFor('server:closing');
  const { users } = other.context.database.collections;
  const findOne = () => users.findOne({ _id: new ObjectId(carl.id) });
  const before = Date.now();
  await other.context.services.presence.stop();
  const stored = await findOne();
  expect(stored?.lastSeenAt?.getTime()).toBeGreaterThanOrEqual(before - 1000);
  await other.close();
  expect((await received).reconnectAfter).toBeGreaterThanOrEqual(500);
  client.close();
});
