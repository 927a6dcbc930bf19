import { ObjectId } from 'mongodb';
import { TYPING_INTERVAL_MS } from '../../../models/presence/typing.model';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

let server: TestServer;
let ada: Person;
let bob: Person;
let carl: Person;
let groupId: string;
let channelId: string;
let typist: Client;
let reader: Client;
const clients: Client[] = [];

beforeAll(async () => {
  // A test types until it may again, which takes more events than a person sends.
  server = await startTestServer({ SOCKET_EVENTS_PER_SECOND: '1000' });
  await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ ada, bob, carl } = await signUpAll(server.api, 'ada', 'bob', 'carl'));
  ({ groupId, channelId } = await createRoom(server.api, ada, [bob, carl]));
  [typist, reader] = await Promise.all([connectClient(bob), connectClient(carl)]);
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

const DONE = { ok: true, data: {} };
const start = (client = typist) => client.ask('typing:start', { channelId });
/** The typing states that a client has received. */
const typingStates = (client: Client): boolean[] =>
  client.events.filter(({ event }) => event === 'typing:changed').map(({ payload }) => payload.typing);
/** Resolves when everything that was published before has reached these clients. */
const settle = (...those: Client[]) =>
  Promise.all(those.map((client) => client.ask('message:delete', { messageId: '0'.repeat(24) })));

test('typing is sent to the readers of the channel, but not to the typist, once in three seconds', async () => {
  const phone = await connectClient(bob);
  const outsider = await connectClient(await signUp(server.api, 'outsider'));
  for (let count = 0; count < 5; count++) expect(await start()).toEqual(DONE);
  expect(await reader.waitFor('typing:changed')).toEqual({ channelId, userId: bob.id, typing: true });
  // Stopping and starting again does not send repeated changes either.
  for (let count = 0; count < 5; count++) {
    expect(await typist.ask('typing:stop', { channelId })).toEqual(DONE);
    expect(await start()).toEqual(DONE);
  }
  await settle(reader, phone, outsider, typist);
  expect(typingStates(reader)).toEqual([true, false]);
  expect([phone, outsider, typist].map(typingStates)).toEqual([[], [], []]);
});

test('typing ends by time, by a message, and when the typist disconnects', async () => {
  const since = Date.now();
  await start();
  const ended = await reader.waitFor('typing:changed', ({ typing }) => !typing);
  expect(ended).toEqual({ channelId, userId: bob.id, typing: false });
  expect(Date.now() - since).toBeGreaterThanOrEqual(2 * TYPING_INTERVAL_MS - 5);

  await start();
  await typist.ask('message:send', { channelId, clientMessageId: 'm', body: 'Here it is' });
  expect(await typist.ask('typing:stop', { channelId })).toEqual(DONE);
  await settle(reader);
  // The message implied it, so no other event was needed.
  expect(typingStates(reader)).toEqual([true, false, true]);

  const other = await connectClient(ada);
  await start(other);
  await reader.waitFor('typing:changed', ({ userId }) => userId === ada.id);
  other.close();
  await reader.waitFor('typing:changed', ({ userId, typing }) => userId === ada.id && !typing);
});

test('the end of typing is sent only to the remaining readers of a channel that has become private', async () => {
  const owner = await connectClient(ada);
  await start();
  await Promise.all([reader, owner].map((client) => client.waitFor('typing:changed')));
  const closed = await server.api.patch(`/api/channels/${channelId}`, { visibility: 'private' }, ada.token);
  expect(closed.status).toBe(200);
  expect(await typist.ask('typing:stop', { channelId })).toEqual(DONE);
  await settle(reader, owner);
  expect([reader, owner].map(typingStates)).toEqual([[true], [true, false]]);
});

describe('typing is not sent', () => {
  const block = (who: Person, whom: Person) =>
    server.api.call('put', `/api/users/me/blocks/${whom.id}`, { token: who.token });

  test.each(['who have blocked the typist', 'who are blocked by the typist'])(
    'to those %s',
    async (which) => {
      const other = await connectClient(ada);
      await start();
      await reader.waitFor('typing:changed');
      await typist.ask('typing:stop', { channelId });
      const [who, whom] = which.startsWith('by') ? [carl, bob] : [bob, carl];
      expect((await block(who, whom)).status).toBe(204);
      await until(async () => (await start()).ok && typingStates(other).length === 3);
      await settle(reader);
      expect(typingStates(reader)).toEqual([true, false]);
    },
  );

  async function restrict(kind: 'muted' | 'banned'): Promise<void> {
    const restriction = {
      _id: new ObjectId(),
      channelId: new ObjectId(channelId),
      groupId: new ObjectId(groupId),
      userId: new ObjectId(bob.id),
      kind,
      reason: 'A test',
      restrictedBy: new ObjectId(ada.id),
      createdAt: new Date(),
      expiresAt: null,
    };
    await server.context.database.collections.channelRestrictions.insertOne(restriction);
    await server.context.bus.publish({
      type: 'channel_restriction.set',
      restriction,
      shownReason: 'A test',
    });
  }

  test('of users who may not send there, as soon as they may not', async () => {
    expect(await start()).toEqual(DONE);
    expect(await typist.ask('typing:stop', { channelId })).toEqual(DONE);
    await restrict('muted');
    expect(await start()).toMatchObject({ ok: false, error: { code: 'muted' } });

    expect((await server.api.delete(`/api/groups/${groupId}/members/${bob.id}`, ada.token)).status).toBe(204);
    expect(await start()).toMatchObject({ ok: false, error: { code: 'not_found' } });
    await settle(reader);
    expect(typingStates(reader)).toEqual([true, false]);
  });

  test('of unknown channels and malformed ids', async () => {
    const ask = (payload: unknown) => typist.ask('typing:start', payload);
    expect(await ask({ channelId: 'f'.repeat(24) })).toMatchObject({ error: { code: 'not_found' } });
    for (const payload of [null, {}, { channelId: 'x' }, { channelId, typing: true }]) {
      expect(await ask(payload)).toMatchObject({ error: { code: 'validation_failed' } });
    }
  });
});
