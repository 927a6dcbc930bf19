import { request } from 'node:http';
import { Redis } from 'ioredis';
import { Binary, ObjectId } from 'mongodb';
import { encodeBatch, encodeDocument } from '../../services/kernel/relay-batch';
import { SAMPLE_EVENTS } from '../fixtures/domain-events';
import { createRoom, signUpAll, type Person } from '../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../fixtures/redis';
import { counterOf, startTestServer, type TestServer } from '../fixtures/server';
import { connectClient, type Client } from '../fixtures/sockets';
import { until } from '../fixtures/until';

if (!HAS_REDIS) console.warn('The events of several nodes are not tested: there is no redis-server.');

const SETTINGS = { PRESENCE_GRACE_SECONDS: '0' };

(HAS_REDIS ? describe : describe.skip)('clients of another node receive', () => {
  let redis: RedisProcess;
  let here: TestServer;
  let there: TestServer;
  let ada: Person;
  let bob: Person;
  let channelId: string;

  beforeAll(async () => {
    redis = await startRedis();
    here = await startTestServer({ REDIS_URL: redis.url, ...SETTINGS });
    there = await startTestServer({ REDIS_URL: redis.url, ...SETTINGS }, { beside: here });
    ({ ada, bob } = await signUpAll(here.api, 'ada', 'bob'));
  });
  beforeEach(async () => {
    ({ channelId } = await createRoom(here.api, ada, [bob], 'public'));
  });
  afterAll(async () => {
    await there.close();
    await here.close();
    await redis.close();
  });

  const send = async (person: Person, id: string, on = here, body = `Message ${id}`) =>
    (await on.api.post(`/api/channels/${channelId}/messages`, { clientMessageId: id, body }, person.token))
      .body.message as { id: string };
  const presenceOf = async (person: Person, on: TestServer, by: Person) =>
    (await on.api.get(`/api/users/${person.id}/presence`, by.token)).body.presence.status as string;
  const presentIn = async (id: string, on: TestServer): Promise<string[]> =>
    (await on.api.get(`/api/channels/${id}/presence`, ada.token)).body.presences.map(
      ({ userId }: { userId: string }) => userId,
    );
  const statusesOf = ({ events }: Client, { id }: Person) =>
    events
      .filter(({ event }) => event === 'presence:changed')
      .flatMap(({ payload }) => Object.keys(payload).filter((status) => payload[status].includes(id)));

  it('each change of a message once', async () => {
    const [near, far] = [await connectClient(here.url, bob), await connectClient(there.url, bob)];
    const { id } = await send(ada, `life-${channelId}`);
    await here.api.patch(`/api/messages/${id}`, { body: 'Another text' }, ada.token);
    await here.api.call('put', `/api/messages/${id}/reactions/${encodeURIComponent('👍')}`, {
      token: bob.token,
    });
    await here.api.delete(`/api/messages/${id}`, ada.token);
    for (const client of [near, far]) await client.waitForMessage(({ event }) => event === 'message:deleted');
    const seen = ({ messages }: Client) => messages.map(({ event, message }) => [event, message.revision]);
    expect(seen(far)).toEqual(seen(near));
    expect(far.messages.map(({ event }) => event)).toEqual([
      'message:created',
      'message:updated',
      'message:updated',
      'message:deleted',
    ]);
  });

  it('the messages of all nodes in the order of their revisions', async () => {
    const clients = [await connectClient(here.url, bob), await connectClient(there.url, bob)];
    const count = 60;
    await Promise.all(
      Array.from({ length: count }, (_, index) =>
        send(ada, `order-${channelId}-${index}`, index % 2 === 0 ? here : there),
      ),
    );
    for (const { messages } of clients) {
      await until(() => messages.length === count);
      const revisions = messages.map(({ message }) => message.revision);
      expect(revisions).toEqual(Array.from({ length: count }, (_, index) => revisions[0]! + index));
    }
  });

  it('what concerns a single user: typing, mentions, read markers, drafts', async () => {
    const far = await connectClient(there.url, bob);
    const near = await connectClient(here.url, ada);
    await near.ask('typing:start', { channelId });
    await far.waitFor('typing:changed', ({ userId, typing }) => userId === ada.id && typing);
    const { id } = await send(ada, `mention-${channelId}`, here, `Hello @${bob.username}`);
    const { notification } = await far.waitFor('notification:created');
    expect(notification.messageId).toBe(id);
    const put = (path: string, body: object) => here.api.call('put', path, { token: bob.token, body });
    expect((await put(`/api/channels/${channelId}/read`, { seq: 1 })).status).toBe(200);
    await far.waitFor('channel:read', ({ read }) => read.channelId === channelId);
    expect((await put(`/api/client/drafts/${channelId}`, { body: 'I will' })).status).toBe(200);
    await far.waitFor('draft:changed', ({ draft }) => draft?.body === 'I will');
  });

  it('changes of a group and its channels', async () => {
    const { groupId, channelId: privateId } = await createRoom(here.api, ada, [bob]);
    const far = await connectClient(there.url, bob);
    const rename = (path: string) => here.api.patch(path, { name: 'renamed' }, ada.token);
    expect((await rename(`/api/groups/${groupId}`)).status).toBe(200);
    await far.waitFor('group:updated', ({ group }) => group.id === groupId);
    expect((await rename(`/api/channels/${privateId}`)).status).toBe(200);
    await far.waitFor('channel:updated', ({ channel }) => channel.id === privateId);
    await here.api.delete(`/api/groups/${groupId}`, ada.token);
    await far.waitFor('group:removed', (removed) => removed.groupId === groupId);
  });

  it('the presence of users, who are online as long as one node has a device of them', async () => {
    // Nobody has seen her before.
    const { carol } = await signUpAll(here.api, 'carol');
    const room = await createRoom(here.api, ada, [carol]);
    const observers = [await connectClient(here.url, ada), await connectClient(there.url, ada)];
    const [near, far] = [await connectClient(here.url, carol), await connectClient(there.url, carol)];
    await Promise.all(observers.map((each) => until(() => statusesOf(each, carol).at(-1) === 'online')));
    near.close();
    await until(() => here.context.services.connections.connectionsOf(carol.id).length === 0);
    for (const server of [here, there]) expect(await presenceOf(carol, server, ada)).toBe('online');
    for (const server of [here, there]) {
      expect((await presentIn(room.channelId, server)).sort()).toEqual([ada.id, carol.id].sort());
    }
    far.close();
    await Promise.all(observers.map((each) => until(() => statusesOf(each, carol).at(-1) === 'offline')));
    for (const each of observers) expect(statusesOf(each, carol)).toEqual(['online', 'offline']);
    for (const server of [here, there]) expect(await presenceOf(carol, server, ada)).toBe('offline');
  });

  it('nothing of a channel that they lose while they are connected to the other node', async () => {
    const { groupId, channelId: lostId } = await createRoom(here.api, ada, [bob]);
    const far = await connectClient(there.url, bob);
    await until(async () => (await presentIn(lostId, here)).includes(bob.id));
    await here.api.delete(`/api/groups/${groupId}/members/${bob.id}`, ada.token);
    for (const server of [here, there]) expect(await presentIn(lostId, server)).not.toContain(bob.id);
    const message = { clientMessageId: `lost-${lostId}`, body: 'Is he gone?' };
    await here.api.post(`/api/channels/${lostId}/messages`, message, ada.token);
    // He reads this one, which is published later.
    await send(ada, `kept-${channelId}`);
    await far.waitForMessage(({ message: { clientMessageId } }) => clientMessageId === `kept-${channelId}`);
    expect(far.messages).toHaveLength(1);
  });

  it('nothing by a permission that ended before the event about it arrived', async () => {
    const { groupId, channelId: lostId } = await createRoom(here.api, ada, [bob]);
    const clients = [await connectClient(here.url, bob), await connectClient(there.url, bob)];
    const { memberships, groups } = here.context.database.collections;
    const group = (await groups.findOne({ _id: new ObjectId(groupId) }))!;
    const membership = (await memberships.findOne({ groupId: group._id, userId: new ObjectId(bob.id) }))!;
    const person = { ...SAMPLE_EVENTS['member.added'].person, _id: membership.userId };
    await there.api.delete(`/api/groups/${groupId}/members/${bob.id}`, ada.token);
    // As if the other node had added him before, and was slow.
    await here.context.bus.publish({ type: 'member.added', group, membership, person });
    const { channels } = here.context.database.collections;
    const channel = (await channels.findOne({ _id: new ObjectId(lostId) }))!;
    await here.context.bus.publish({
      type: 'channel_member.added',
      channel,
      userId: membership.userId,
      isNew: false,
    });
    // As if the other node had found him among the readers before.
    const audience = { kind: 'public_channel', groupId: group._id, channelId: channel._id } as const;
    const { notification, ...rest } = SAMPLE_EVENTS['notification.created'];
    const about = { ...notification, userId: membership.userId, channelId: channel._id };
    await here.context.bus.publish({ ...rest, notification: about, audience });
    const { follow } = SAMPLE_EVENTS['thread_follow.changed'];
    const own = { ...follow, userId: membership.userId };
    await here.context.bus.publish({ type: 'thread_follow.changed', follow: own, audience });
    for (const [index, server] of [here, there].entries()) {
      const message = { clientMessageId: `late-${lostId}-${index}`, body: 'Is he gone?' };
      await server.api.post(`/api/channels/${lostId}/messages`, message, ada.token);
    }
    await send(ada, `kept-${channelId}`);
    for (const client of clients) {
      await client.waitForMessage(
        ({ message: { clientMessageId } }) => clientMessageId === `kept-${channelId}`,
      );
      expect(client.messages).toHaveLength(1);
      const kinds = client.events.map(({ event, payload }) => payload.notification?.kind ?? event);
      expect(kinds).not.toContain(notification.kind);
      expect(kinds).not.toContain('thread:updated');
    }
  });

  it('nothing of what a dead node took away without saying so', async () => {
    const { groupId, channelId: lostId } = await createRoom(here.api, ada, [bob]);
    const far = await connectClient(there.url, bob);
    const bobs = { groupId: new ObjectId(groupId), userId: new ObjectId(bob.id) };
    await here.context.database.collections.memberships.deleteOne(bobs);
    await there.context.bus.deliver({ type: 'node.left', nodeId: 'dead', isDead: true, returningMs: 0 });
    const message = { clientMessageId: `dead-${lostId}`, body: 'Is he gone?' };
    await there.api.post(`/api/channels/${lostId}/messages`, message, ada.token);
    await send(ada, `kept-${channelId}`);
    await far.waitForMessage(({ message: { clientMessageId } }) => clientMessageId === `kept-${channelId}`);
    expect(far.messages).toHaveLength(1);
  });

  it('the users of a node that starts later, and none of a node that has stopped', async () => {
    const observer = await connectClient(here.url, ada);
    await until(async () => (await presenceOf(ada, here, bob)) === 'online');
    const third = await startTestServer({ REDIS_URL: redis.url, ...SETTINGS }, { beside: here });
    await until(async () => (await presenceOf(ada, third, bob)) === 'online');
    await connectClient(third.url, bob);
    await observer.waitFor('presence:changed', ({ online }) => online.includes(bob.id));
    await third.close();
    await observer.waitFor('presence:changed', ({ offline }) => offline.includes(bob.id));
  });

  it('nothing, but a super admin sees them: nodes, connections, errors, jobs and counts of all nodes', async () => {
    const get = async (path: string, query = {}) =>
      (await here.api.get(`/api/admin/${path}`, ada.token, query)).body;
    const clients = [await connectClient(here.url, bob), await connectClient(there.url, bob)];
    const ids = [here, there].map(({ context }) => context.nodes.id).sort();
    const { nodes } = await get('nodes');
    expect(nodes.map(({ nodeId }: { nodeId: string }) => nodeId)).toEqual(ids);
    expect(nodes.find(({ isThis }: { isThis: boolean }) => isThis).nodeId).toBe(here.context.nodes.id);
    for (const { state } of nodes) {
      expect(state).toMatchObject({ pid: process.pid, users: 1, connections: 1, redis: 'ok', fresh: true });
    }
    const { users, total } = await get('connections', { userId: bob.id });
    expect(users).toHaveLength(1);
    expect(users[0].connections.map(({ nodeId }: { nodeId: string }) => nodeId).sort()).toEqual(ids);
    expect(total).toEqual({ users: 2, connections: 2 });
    expect((await get('stats')).statistics.online).toEqual(total);
    for (const { api } of [here, there]) {
      await api.post('/api/auth/login', { identifier: 'nobody', password: 'wrong password' });
    }
    const { errors } = await get('errors');
    expect(errors.filter(({ code }: { code: string }) => code === 'invalid_credentials')).toMatchObject([
      { count: 2 },
    ]);
    const { jobs } = await get('jobs');
    const retention = jobs.filter(({ name }: { name: string }) => name === 'retention');
    expect(retention.map(({ nodeId }: { nodeId: string }) => nodeId)).toEqual(ids);
    for (const client of clients) client.close();
  });

  it.each([
    { what: 'stops at once', isSlow: false },
    { what: 'takes some time to stop', isSlow: true },
  ])('no absence of users whose node $what, while they connect to another one', async ({ isSlow }) => {
    // Connecting takes some time beyond the delay that the client is told.
    const settings = { REDIS_URL: redis.url, PRESENCE_GRACE_SECONDS: '1' };
    const observing = await startTestServer(settings, { beside: here });
    const observer = await connectClient(observing.url, ada);
    const third = await startTestServer({ REDIS_URL: redis.url, ...SETTINGS }, { beside: here });
    const before = await connectClient(third.url, bob);
    await observer.waitFor('presence:changed', ({ online }) => online.includes(bob.id));
    // The body of this request does not arrive.
    const stuck = request(`${third.url}/api/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Content-Length': 2 },
    });
    stuck.on('error', () => undefined);
    if (isSlow) {
      stuck.write('{');
      await until(async () => (await counterOf(third, 'parley_http_requests_in_flight')) > 0);
    }
    const closing = before.waitFor('server:closing');
    const left = new Promise((resolve) => before.socket.once('disconnect', resolve));
    const closed = third.close();
    expect((await closing).reconnectAfter).toBeLessThanOrEqual(2500);
    await left;
    // A user may be away for as long as a client is told. A node that still stops could report it after a second.
    await new Promise((resolve) => setTimeout(resolve, 2500));
    const after = await connectClient(here.url, bob);
    stuck.destroy();
    await closed;
    expect(statusesOf(observer, bob)).toEqual(['online']);
    // They are offline as usual after that.
    after.close();
    await observer.waitFor('presence:changed', ({ offline }) => offline.includes(bob.id));
    expect(statusesOf(observer, bob)).toEqual(['online', 'offline']);
    await observing.close();
  });

  it('an order to reconnect when an event in the database cannot be read, and what follows it', async () => {
    const client = await connectClient(there.url, bob);
    const ends: string[] = [];
    client.socket.on('disconnect', (reason) => ends.push(reason));
    const { relayedEvents } = here.context.database.collections;
    const store = (event: Uint8Array) =>
      relayedEvents.insertOne({ _id: new ObjectId(), from: 'x', at: new Date(), event: new Binary(event) });
    const received: string[] = [];
    const unsubscribe = there.context.bus.subscribe(({ type }) => void received.push(type));
    await Promise.all([
      store(encodeDocument(SAMPLE_EVENTS['node.left'])),
      store(encodeDocument(SAMPLE_EVENTS['user.changed'])),
    ]);
    await until(() => received.includes('user.changed') && received.includes('events.missed'));
    unsubscribe();
    await until(() => ends.length > 0 && client.socket.connected);
  });

  it('an order to reconnect when events have been lost', async () => {
    const client = await connectClient(here.url, bob);
    const publisher = new Redis(redis.url);
    const publish = (number: number) =>
      publisher.publish(
        `parley:${here.context.config.database.name}:events`,
        encodeBatch({ from: `lossy-${channelId}`, number }, []),
      );
    const ends: string[] = [];
    client.socket.on('disconnect', (reason) => ends.push(reason));
    await publish(7);
    await publish(7);
    await send(ada, `still-${channelId}`, there);
    await client.waitForMessage(({ message }) => message.clientMessageId === `still-${channelId}`);
    expect(ends).toEqual([]);
    await publish(9);
    await until(() => ends.length > 0);
    await until(() => client.socket.connected);
    publisher.disconnect();
  });
});
