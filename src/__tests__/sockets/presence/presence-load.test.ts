import { ObjectId } from 'mongodb';
import type { UserDocument } from '../../../models/user.model';
import { createRoom, signUp } from '../../fixtures/people';
import { connectRaw, type RawClient } from '../../fixtures/raw-client';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';
import { lookalikesOf } from '../../../utils/name-keys';

const USERS = 500;
/** The size of an id in an event in bytes: its digits, quotation marks and a comma. */
const ID = 27;

let server: TestServer;
let members: { id: string; token: string }[];
let clients: RawClient[] = [];

beforeAll(async () => {
  server = await startTestServer({ PRESENCE_GRACE_SECONDS: '1' });
  const ada = await signUp(server.api, 'ada');
  const { groupId } = await createRoom(server.api, ada);
  members = await createMembers(new ObjectId(groupId), new ObjectId(ada.id));
}, 60_000);
afterAll(async () => {
  for (const { webSocket } of clients) webSocket.terminate();
  await server.close();
});

/** Inserts members of a group with a session each, in the state after registration. */
async function createMembers(groupId: ObjectId, likeId: ObjectId): Promise<typeof members> {
  const { users, memberships } = server.context.database.collections;
  const like = (await users.findOne({ _id: likeId }))!;
  const people = Array.from({ length: USERS }, (_, index): UserDocument => {
    const username = `crowd${index}`;
    const email = `${username}@example.org`;
    const keys = { searchName: username, nameLookalikes: lookalikesOf(username), emailKey: email };
    return { ...like, ...keys, _id: new ObjectId(), username, email, role: 'client' };
  });
  await users.insertMany(people);
  const joinedAt = new Date();
  await memberships.insertMany(
    people.map(({ _id: userId }) => ({ _id: new ObjectId(), groupId, userId, role: 'member', joinedAt })),
  );
  const { sessions } = server.context.services;
  const origin = { address: '127.0.0.1', userAgent: 'crowd' };
  const opened = await Promise.all(people.map((person) => sessions.open(person, origin)));
  return opened.map(({ accessToken, user }) => ({ id: user.id, token: accessToken }));
}

const changesOf = ({ events }: RawClient) => events.filter(([event]) => event === 'presence:changed');
const size = (lists: object) => Object.values(lists).flat().length;

test('the traffic is limited when 500 users connect and disconnect at once', async () => {
  let rounds = 0;
  const unsubscribe = server.context.bus.subscribe(
    ({ type }) => void (type === 'presence.changed' && rounds++),
  );
  const start = performance.now();
  clients = await Promise.all(members.map(({ token }) => connectRaw(server.url, token)));
  // All changes have been sent when every client has received its own.
  const receives = (client: RawClient, id: string) =>
    changesOf(client).some(([, { online }]) => online.includes(id));
  await until(() => clients.every((client, index) => receives(client, members[index]!.id)), 60_000);
  const seconds = (performance.now() - start) / 1000;
  const events = clients.map((client) => changesOf(client).length);
  // At most once a second, however many users there are.
  expect(Math.max(...events)).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
  expect(rounds).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
  // Each change is sent to each client at most once, as an id only.
  const receivedCounts = clients.map((client) =>
    changesOf(client).reduce((sum, [, lists]) => sum + size(lists), 0),
  );
  expect(Math.max(...receivedCounts)).toBeLessThanOrEqual(USERS);
  const bytes = clients.reduce((sum, client) => sum + client.bytes, 0);
  expect(bytes).toBeLessThanOrEqual(USERS * (USERS * ID + 100 * Math.max(...events) + 400));

  // A disconnected user is sent to every client once.
  const before = clients.map((client) => changesOf(client).length);
  const [leaver, ...stayers] = clients;
  leaver!.webSocket.terminate();
  await until(() => stayers.every((client) => changesOf(client).at(-1)?.[1].offline.length === 1), 30_000);
  expect(stayers.map((client) => changesOf(client).length)).toEqual(
    before.slice(1).map((count) => count + 1),
  );
  unsubscribe();
}, 120_000);
