import { ObjectId } from 'mongodb';
import { createContext } from '../../../context';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

let server: TestServer;
let root: Person;
let owner: Person;
let moderator: Person;
let guest: Person;
let observer: Client;
/** The guest's devices. */
let devices: Client[];
let groupId: string;
let channelId: string;
let counter = 0;

beforeAll(async () => {
  server = await startTestServer();
  ({ root, owner, moderator } = await signUpAll(server.api, 'root', 'owner', 'moderator'));
  observer = await connect(server.url, owner.token);
});
beforeEach(async () => {
  guest = await signUp(server.api, 'guest');
  ({ groupId, channelId } = await createRoom(server.api, owner, [guest, moderator]));
  await setRole(moderator, 'moderator');
  devices = await Promise.all([
    connect(server.url, guest.token, { transports: ['websocket'] }),
    connect(server.url, guest.token, { transports: ['polling'] }),
  ]);
});
afterEach(() => {
  for (const device of devices) device.close();
});
afterAll(async () => {
  observer.close();
  await server.close();
});

const refused = (status: number, code: string) => ({ status, body: { error: { code } } });
const collections = () => server.context.database.collections;
const setRole = ({ id }: Person, role: 'moderator' | 'admin') =>
  collections().memberships.updateOne(
    { groupId: new ObjectId(groupId), userId: new ObjectId(id) },
    { $set: { role } },
  );
const pathOf = (person: Person) => `/api/channels/${channelId}/restrictions/${person.id}`;
const restrict = (body: object, person = guest, by = moderator) =>
  server.api.call('put', pathOf(person), { body, token: by.token });
const lift = (person = guest, by = moderator) => server.api.delete(pathOf(person), by.token);
const listed = async (query = {}) => {
  const path = `/api/channels/${channelId}/restrictions`;
  const { status, body } = await server.api.get(path, moderator.token, query);
  expect(status).toBe(200);
  return body.restrictions;
};
const get = (by: Person) => server.api.get(`/api/channels/${channelId}`, by.token);
const send = (by: Person) =>
  server.api.post(
    `/api/channels/${channelId}/messages`,
    { clientMessageId: `m-${++counter}`, body: 'hello' },
    by.token,
  );
const sendBySocket = () =>
  devices[0]!.ask('message:send', { channelId, clientMessageId: `m-${++counter}`, body: 'hello' });
/** The next entry of the audit log, newest first. */
const lastAct = async () =>
  (await server.api.get('/api/admin/audit-log', root.token, { limit: 1 })).body.entries[0];

/** Which of the guest's devices receive a message that the owner sends now. */
async function recipients(): Promise<boolean[]> {
  const answer = await send(owner);
  expect(answer.status).toBe(201);
  const { id } = answer.body.message;
  await observer.waitForMessage(({ message }) => message.id === id);
  // An event that was sent to a device would arrive before the answer to this request.
  for (const device of devices) await device.ask('message:delete', { messageId: '0'.repeat(24) });
  return devices.map(({ messages: received }) => received.some(({ message }) => message.id === id));
}

describe('a ban from a channel', () => {
  it('removes the channel on all devices of the user at once, and lifting it restores the channel', async () => {
    expect(await recipients()).toEqual([true, true]);
    const { status, body } = await restrict({ kind: 'banned', reason: 'spam' });
    expect(status).toBe(200);
    expect(body.restriction).toMatchObject({ kind: 'banned', reason: 'spam', expiresAt: null });
    expect(body.restriction.user.id).toBe(guest.id);
    expect(await recipients()).toEqual([false, false]);
    expect(await get(guest)).toMatchObject(refused(404, 'not_found'));
    expect(await send(guest)).toMatchObject(refused(404, 'not_found'));
    expect(await sendBySocket()).toMatchObject({ ok: false, error: { code: 'not_found' } });
    const own = await server.api.get('/api/channels', guest.token, { groupId });
    expect(own.body.channels).toEqual([]);
    expect(await lastAct()).toMatchObject({
      action: 'channel.user_banned',
      actorId: moderator.id,
      targetId: channelId,
      details: { userId: guest.id, reason: 'spam', until: null },
    });
    // Changes of the channel are not received either.
    await server.api.patch(`/api/channels/${channelId}`, { topic: 'secret' }, owner.token);
    expect(await recipients()).toEqual([false, false]);
    for (const { events: restriction } of devices)
      expect(restriction.map(({ event }) => event)).not.toContain('channel:updated');

    for (const device of devices) {
      expect(await device.waitFor('channel:removed')).toEqual({ channelId, groupId, reason: 'banned' });
      const restricted = { channelId, kind: 'banned', reason: 'spam', expiresAt: null };
      expect(await device.waitFor('channel:restricted')).toEqual(restricted);
      const { notification } = await device.waitFor('notification:created');
      expect(notification).toMatchObject({ kind: 'channel.banned', channelId, groupId, text: 'spam' });
    }
    // A device that connects now receives nothing either.
    devices.push(await connect(server.url, guest.token));
    expect(await recipients()).toEqual([false, false, false]);

    expect((await lift()).status).toBe(204);
    expect(await recipients()).toEqual([true, true, true]);
    for (const device of devices) {
      await device.waitFor('channel:restricted', ({ kind }) => kind === null);
      await device.waitFor('channel:added', ({ channel }) => channel.id === channelId);
    }
    expect((await sendBySocket()).ok).toBe(true);
    expect(await lastAct()).toMatchObject({ action: 'channel.restriction_ended', actorId: moderator.id });
    // There is no ban to lift.
    expect((await lift()).status).toBe(204);
    expect(await listed()).toEqual([]);
  });

  it('expires: open sockets receive the channel again without reconnecting', async () => {
    const ends = new Date(Date.now() + 2500);
    await restrict({ kind: 'banned', expiresAt: ends.toISOString() });
    expect(await recipients()).toEqual([false, false]);
    await Promise.all(
      devices.map((device) => device.waitFor('channel:restricted', ({ kind }) => kind === null)),
    );
    expect(Date.now()).toBeGreaterThanOrEqual(ends.getTime());
    expect(await recipients()).toEqual([true, true]);
    expect(await lastAct()).toMatchObject({
      action: 'channel.restriction_ended',
      actorId: null,
      details: { userId: guest.id, kind: 'banned' },
    });
  });

  it('that expired while the server was stopped ends when it starts', async () => {
    await restrict({ kind: 'banned' });
    const restriction = { channelId: new ObjectId(channelId), userId: new ObjectId(guest.id) };
    await collections().channelRestrictions.updateOne(restriction, { $set: { expiresAt: new Date(1) } });
    expect(await listed()).toEqual([]);
    const { config, database } = server.context;
    const restarted = await createContext(config, { database });
    await restarted.start();
    await until(async () => (await collections().channelRestrictions.findOne(restriction)) === null);
    await restarted.close();
  });

  it('can be extended', async () => {
    await restrict({ kind: 'banned', expiresAt: new Date(Date.now() + 2500).toISOString() });
    const later = new Date(Date.now() + 3_600_000).toISOString();
    await restrict({ kind: 'banned', expiresAt: later });
    // Another ban, which ends when the first one was to end, shows that this time has passed.
    const other = await signUp(server.api);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: other.id }, owner.token);
    await restrict({ kind: 'muted', expiresAt: new Date(Date.now() + 2600).toISOString() }, other);
    await until(
      async () => (await collections().channelRestrictions.countDocuments({ kind: 'muted' })) === 0,
    );
    expect(await listed()).toMatchObject([{ expiresAt: later, user: { id: guest.id } }]);
    expect(await recipients()).toEqual([false, false]);
  });

  it('from a private channel restores the membership when it ends, unless the user is out by then', async () => {
    await server.api.patch(`/api/channels/${channelId}`, { visibility: 'private' }, owner.token);
    const members = `/api/channels/${channelId}/members`;
    await server.api.post(members, { userId: guest.id }, owner.token);
    expect(await recipients()).toEqual([true, true]);
    await restrict({ kind: 'banned' }, guest, owner);
    expect(await recipients()).toEqual([false, false]);
    const again = await server.api.post(members, { userId: guest.id }, owner.token);
    expect(again).toMatchObject(refused(400, 'bad_request'));
    await lift(guest, owner);
    expect(await recipients()).toEqual([true, true]);

    await restrict({ kind: 'banned' }, guest, owner);
    expect(await recipients()).toEqual([false, false]);
    // Presence is sent once a second, independently of this.
    const others = () =>
      devices.map(({ events: restriction }) =>
        restriction.filter(({ event }) => event !== 'presence:changed'),
      );
    const before = others();
    expect((await server.api.delete(`${members}/${guest.id}`, owner.token)).status).toBe(204);
    await lift(guest, owner);
    expect(await recipients()).toEqual([false, false]);
    expect(others()).toEqual(before);
  });

  it('outlives leaving the group and joining again', async () => {
    await restrict({ kind: 'banned' });
    await server.api.post(`/api/groups/${groupId}/leave`, undefined, guest.token);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: guest.id }, owner.token);
    expect(await recipients()).toEqual([false, false]);
    devices.push(await connect(server.url, guest.token));
    expect(await recipients()).toEqual([false, false, false]);
  });
});

describe('a mute', () => {
  it('permits reading but not writing, over REST and sockets, until it ends', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    await restrict({ kind: 'muted', reason: 'calm down', expiresAt });
    expect(await recipients()).toEqual([true, true]);
    expect(await send(guest)).toMatchObject(refused(403, 'muted'));
    expect(await sendBySocket()).toMatchObject({ ok: false, error: { code: 'muted' } });
    for (const device of devices) {
      const restriction = { channelId, kind: 'muted', reason: 'calm down', expiresAt };
      expect(await device.waitFor('channel:restricted')).toEqual(restriction);
      const { notification } = await device.waitFor('notification:created');
      expect(notification).toMatchObject({ kind: 'channel.muted', text: 'calm down' });
    }
    const summary = await server.api.get(`/api/channels/${channelId}/summary`, guest.token);
    expect(summary.body.summary.muted).toEqual({ reason: 'calm down', expiresAt });
    await lift();
    expect((await sendBySocket()).ok).toBe(true);
  });

  it('replaces a ban, and a ban replaces it', async () => {
    await restrict({ kind: 'banned' });
    await restrict({ kind: 'muted' });
    expect(await recipients()).toEqual([true, true]);
    expect(await send(guest)).toMatchObject(refused(403, 'muted'));
    await restrict({ kind: 'banned' });
    expect(await recipients()).toEqual([false, false]);
    expect(await listed({ kind: 'muted' })).toEqual([]);
    expect(await listed({ kind: 'banned' })).toHaveLength(1);
  });
});

describe('the right to restrict a user', () => {
  it('requires a higher role: not an equal one, not oneself, not a member', async () => {
    const body = { kind: 'muted' };
    const equal = await signUp(server.api);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: equal.id }, owner.token);
    await setRole(equal, 'moderator');
    for (const person of [equal, owner])
      expect(await restrict(body, person)).toMatchObject(refused(403, 'forbidden'));
    expect(await restrict(body, owner, owner)).toMatchObject(refused(400, 'bad_request'));
    expect(await restrict(body, equal, guest)).toMatchObject(refused(403, 'forbidden'));
    expect((await restrict(body, equal, owner)).status).toBe(200);
    expect(await lift(equal)).toMatchObject(refused(403, 'forbidden'));
    const stranger = await signUp(server.api);
    expect(await restrict(body, stranger)).toMatchObject(refused(400, 'bad_request'));
    expect(await restrict(body, guest, stranger)).toMatchObject(refused(404, 'not_found'));
    const unknown = { ...guest, id: '0'.repeat(24) };
    expect(await restrict(body, unknown)).toMatchObject(refused(404, 'not_found'));
  });

  it.each([
    {},
    { kind: 'gone' },
    { kind: 'muted', expiresAt: '2020-01-01T00:00:00Z' },
    { kind: 'muted', expiresAt: 'soon' },
    { kind: 'muted', reason: 'x'.repeat(501) },
    { kind: 'muted', channelId: '0'.repeat(24) },
  ])('is refused with %j', async (body) => {
    expect(await restrict(body)).toMatchObject(refused(400, 'validation_failed'));
  });

  it('includes a paged list of the restricted users', async () => {
    const others = await Promise.all([signUp(server.api), signUp(server.api)]);
    for (const other of others) {
      await server.api.post(`/api/groups/${groupId}/members`, { userId: other.id }, owner.token);
      await restrict({ kind: 'muted' }, other);
    }
    await restrict({ kind: 'banned' });
    const path = `/api/channels/${channelId}/restrictions`;
    const first = (await server.api.get(path, moderator.token, { limit: 2 })).body;
    const next = { limit: 2, cursor: first.nextCursor };
    const second = (await server.api.get(path, moderator.token, next)).body;
    expect(second.nextCursor).toBeNull();
    const users = [...first.restrictions, ...second.restrictions].map(({ user }: any) => user.id);
    expect(users).toEqual([...others.map(({ id }) => id), guest.id]);
  });
});
