import { reuseRefreshToken } from '../../fixtures/accounts';
import { connect, type Client } from '../../fixtures/sockets';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';

let server: TestServer;
let owner: Person;
let member: Person;
let observer: Person;
const clients: Client[] = [];
let counter = 0;

async function connectClient(person: Person, options?: object): Promise<Client> {
  const client = await connect(server.url, person.token, options);
  clients.push(client);
  return client;
}

/**
 * Sends a message, waits until an observer who may read it has received it, and then until `silent` has had an answer
 * to a request: a message that was sent to it would have arrived before.
 * @returns the client id of the message.
 */
async function say(channelId: string, receiver: Client, silent: Client[] = []): Promise<string> {
  const clientMessageId = `say-${++counter}`;
  const answer = await server.api.post(
    `/api/channels/${channelId}/messages`,
    { clientMessageId, body: 'Is anybody there?' },
    owner.token,
  );
  expect(answer.status).toBe(201);
  await receiver.waitForMessage(({ message }) => message.clientMessageId === clientMessageId);
  for (const client of silent) await client.ask('message:delete', { messageId: '0'.repeat(24) });
  return clientMessageId;
}

const hasReceived = (client: Client, clientMessageId: string) =>
  client.messages.some(({ message }) => message.clientMessageId === clientMessageId);

beforeAll(async () => {
  server = await startTestServer();
  owner = await signUp(server.api, 'owner');
});
beforeEach(async () => {
  ({ member, witness: observer } = await signUpAll(server.api, 'member', 'witness'));
});
afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});
afterAll(() => server.close());

test('a removed member receives nothing more on any device once the call has returned', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [member, observer]);
  const [phone, laptop, present] = [
    await connectClient(member, { transports: ['websocket'] }),
    await connectClient(member, { transports: ['polling'] }),
    await connectClient(observer),
  ];
  const before = await say(channelId, present);
  await Promise.all(
    [phone, laptop].map((client) =>
      client.waitForMessage(({ message }) => message.clientMessageId === before),
    ),
  );

  expect((await server.api.delete(`/api/groups/${groupId}/members/${member.id}`, owner.token)).status).toBe(
    204,
  );
  const after = await say(channelId, present, [phone, laptop]);
  expect(hasReceived(phone, after)).toBe(false);
  expect(hasReceived(laptop, after)).toBe(false);

  const send = { channelId, clientMessageId: 'ghost', body: 'I am still here' };
  expect(await phone.ask('message:send', send)).toMatchObject({ ok: false, error: { code: 'not_found' } });
});

test('a user who leaves receives nothing more, and receives again after joining', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [member, observer], 'public');
  const [client, present] = [await connectClient(member), await connectClient(observer)];
  await server.api.post(`/api/groups/${groupId}/leave`, undefined, member.token);
  const away = await say(channelId, present, [client]);
  expect(hasReceived(client, away)).toBe(false);
  await server.api.post(`/api/groups/${groupId}/join`, undefined, member.token);
  const back = await say(channelId, client);
  expect(hasReceived(client, back)).toBe(true);
});

test('a new member receives events at once, on sockets that were open before', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [observer]);
  const client = await connectClient(member);
  await server.api.post(`/api/groups/${groupId}/members`, { userId: member.id }, owner.token);
  expect(hasReceived(client, await say(channelId, client))).toBe(true);
});

describe('a private channel', () => {
  let groupId: string;
  let channelId: string;
  let present: Client;
  let client: Client;

  beforeEach(async () => {
    ({ groupId } = await createRoom(server.api, owner, [member, observer]));
    const input = { groupId, name: 'inner circle', visibility: 'private' };
    const { body } = await server.api.post('/api/channels', input, owner.token);
    channelId = body.channel.id;
    [client, present] = [await connectClient(member), await connectClient(owner)];
  });

  const addMember = () =>
    server.api.post(`/api/channels/${channelId}/members`, { userId: member.id }, owner.token);

  test('sends nothing to other members of the group', async () => {
    expect(hasReceived(client, await say(channelId, present, [client]))).toBe(false);
  });

  test('sends to a member from being added until being removed', async () => {
    expect((await addMember()).status).toBe(204);
    expect(hasReceived(client, await say(channelId, client))).toBe(true);
    await server.api.delete(`/api/channels/${channelId}/members/${member.id}`, owner.token);
    expect(hasReceived(client, await say(channelId, present, [client]))).toBe(false);
  });

  test('sends nothing to a member who is removed from the group', async () => {
    await addMember();
    await say(channelId, client);
    await server.api.delete(`/api/groups/${groupId}/members/${member.id}`, owner.token);
    expect(hasReceived(client, await say(channelId, present, [client]))).toBe(false);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: member.id }, owner.token);
    expect(hasReceived(client, await say(channelId, present, [client]))).toBe(false);
  });

  test('sends to all once it is public, and only to its members once it is private again', async () => {
    const setVisibility = (visibility: string) =>
      server.api.patch(`/api/channels/${channelId}`, { visibility }, owner.token);
    await addMember();
    await setVisibility('public');
    const bystander = await connectClient(observer);
    expect(hasReceived(bystander, await say(channelId, bystander))).toBe(true);
    await setVisibility('private');
    const secret = await say(channelId, present, [bystander, client]);
    expect(hasReceived(bystander, secret)).toBe(false);
    expect(hasReceived(client, secret)).toBe(false);
  });

  test('sends nothing to a member who connected while it was public', async () => {
    await addMember();
    const { connections, presence } = server.context.services;
    client.close();
    await until(() => connections.connectionsOf(member.id).length === 0);
    let atHandshake = () => {};
    let finishHandshake = () => {};
    const inHandshake = new Promise<void>((resolve) => (atHandshake = resolve));
    const resumed = new Promise<void>((resolve) => (finishHandshake = resolve));
    const read = presence.findSettings.bind(presence);
    const reading = jest.spyOn(presence, 'findSettings').mockImplementationOnce(async (userId) => {
      atHandshake();
      await resumed;
      return read(userId);
    });
    const connecting = connectClient(member);
    await inHandshake;
    for (const visibility of ['public', 'private']) {
      const answer = await server.api.patch(`/api/channels/${channelId}`, { visibility }, owner.token);
      expect(answer.status).toBe(200);
    }
    finishHandshake();
    const late = await connecting;
    reading.mockRestore();
    expect(hasReceived(late, await say(channelId, present, [late]))).toBe(false);
  });
});

test('each change is sent to the users concerned, once and in one order', async () => {
  const { groupId } = await createRoom(server.api, owner, [observer]);
  const own = { groupId, name: 'order of events', visibility: 'private' };
  const { body } = await server.api.post('/api/channels', own, owner.token);
  const channel = `/api/channels/${body.channel.id}`;
  const group = `/api/groups/${groupId}`;
  const devices = [await connectClient(owner), await connectClient(member), await connectClient(observer)];
  /** The names of the events that the owner, the member and the observer receive for a call. */
  async function eventsAfter(method: 'post' | 'patch' | 'delete', path: string, payload?: object) {
    const before = devices.map(({ events: received }) => received.length);
    const answer = await server.api.call(method, path, {
      token: owner.token,
      ...(payload && { body: payload }),
    });
    expect(Math.floor(answer.status / 100)).toBe(2);
    for (const device of devices) await device.ask('message:delete', { messageId: '0'.repeat(24) });
    return devices.map(({ events: received }, index) =>
      received
        .slice(before[index])
        .map(({ event }) => event)
        .filter((event) => event !== 'presence:changed' && !event.startsWith('notification:')),
    );
  }
  const userId = member.id;
  expect(await eventsAfter('post', `${group}/members`, { userId })).toEqual([
    ['member:added'],
    ['group:added', 'member:added'],
    ['member:added'],
  ]);
  expect(await eventsAfter('post', `${channel}/members`, { userId })).toEqual([
    ['channel_member:added'],
    ['channel:added', 'channel_member:added'],
    [],
  ]);
  expect(await eventsAfter('delete', `${channel}/members/${userId}`)).toEqual([
    ['channel_member:removed'],
    ['channel:removed'],
    [],
  ]);
  await eventsAfter('post', `${channel}/members`, { userId });
  expect(await eventsAfter('patch', channel, { visibility: 'public' })).toEqual([
    ['channel_member:cleared', 'group:updated', 'channel:added'],
    ['channel_member:cleared', 'group:updated', 'channel:added'],
    ['group:updated', 'channel:added'],
  ]);
  expect(await eventsAfter('patch', channel, { topic: 'anything' })).toEqual([
    ['channel:updated'],
    ['channel:updated'],
    ['channel:updated'],
  ]);
  expect(await eventsAfter('patch', channel, { visibility: 'private' })).toEqual([
    ['group:updated', 'channel_member:added', 'channel:updated'],
    ['group:updated', 'channel:removed'],
    ['group:updated', 'channel:removed'],
  ]);
  await eventsAfter('post', `${channel}/members`, { userId });
  // Their removal from the channel is sent to its remaining members, and the one from the group to the group's.
  expect(await eventsAfter('delete', `${group}/members/${userId}`)).toEqual([
    ['channel_member:removed', 'member:removed'],
    ['group:removed'],
    ['member:removed'],
  ]);
  await eventsAfter('post', `${group}/members`, { userId });
  await eventsAfter('post', `${channel}/members`, { userId });
  expect(await eventsAfter('delete', channel)).toEqual([['channel:removed'], ['channel:removed'], []]);
  expect(await eventsAfter('delete', group)).toEqual([
    ['channel:removed', 'group:removed'],
    ['channel:removed', 'group:removed'],
    ['channel:removed', 'group:removed'],
  ]);
});

describe('log-out', () => {
  test('closes the sockets of its session and leaves those of others', async () => {
    const login = { identifier: member.username, password: 'correct horse battery' };
    const other = (await server.api.post('/api/auth/login', login)).body.accessToken as string;
    const [mine, theirs] = [await connectClient(member), await connectClient({ ...member, token: other })];
    const closed = new Promise((resolve) => mine.socket.once('disconnect', resolve));
    await server.api.post('/api/auth/logout', undefined, member.token);
    expect(await closed).toBe('io server disconnect');
    expect(theirs.socket.connected).toBe(true);
  });

  test('the reuse of a stolen refresh token closes the sockets of its session', async () => {
    const client = await connectClient(member);
    const closed = new Promise((resolve) => client.socket.once('disconnect', resolve));
    await reuseRefreshToken(server.api, member);
    expect(await closed).toBe('io server disconnect');
  });
});

test('messages sent during a disconnection are not replayed to a user who may not read them any more', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [member, observer]);
  const [client, present] = [await connectClient(member), await connectClient(observer)];
  await say(channelId, client);
  const { socket } = client;
  const before = socket.id;
  const back = new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
  const away = new Promise((resolve) => socket.once('disconnect', resolve));
  // Like a network failure: the client reconnects by itself, with the state of its connection.
  socket.io.engine.close();
  await away;
  await server.api.delete(`/api/groups/${groupId}/members/${member.id}`, owner.token);
  const missed = await say(channelId, present);
  await back;
  expect(socket.id).not.toBe(before);
  expect(socket.recovered).toBeFalsy();
  await client.ask('message:delete', { messageId: '0'.repeat(24) });
  expect(hasReceived(client, missed)).toBe(false);
});

test('a user who is added while connecting receives what follows', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [observer]);
  for (let round = 0; round < 5; round++) {
    const connecting = connectClient(member);
    await server.api.post(`/api/groups/${groupId}/members`, { userId: member.id }, owner.token);
    // The worst outcome would be a socket that answers but receives nothing.
    const client = await connecting;
    expect(hasReceived(client, await say(channelId, client))).toBe(true);
    client.close();
    await server.api.delete(`/api/groups/${groupId}/members/${member.id}`, owner.token);
  }
});

test('a user who is removed while connecting never receives what follows', async () => {
  const { groupId, channelId } = await createRoom(server.api, owner, [observer]);
  const present = await connectClient(observer);
  for (let round = 0; round < 10; round++) {
    await server.api.post(`/api/groups/${groupId}/members`, { userId: member.id }, owner.token);
    const connecting = connectClient(member);
    await server.api.delete(`/api/groups/${groupId}/members/${member.id}`, owner.token);
    const client = await connecting;
    expect(hasReceived(client, await say(channelId, present, [client]))).toBe(false);
    client.close();
  }
});
