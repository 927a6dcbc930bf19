import type { Call } from '../../models/video-call.model';
import { createApi } from '../fixtures/api';
import { createRoom, signUp, type Person } from '../fixtures/people';
import { offerTo, Peer } from '../fixtures/peer';
import { cleanUp, spawnDatabase, spawnServer, temporaryFolder } from '../fixtures/process';
import { HAS_REDIS, startRedis } from '../fixtures/redis';
import { connect, type Client } from '../fixtures/sockets';
import { until } from '../fixtures/until';

afterAll(cleanUp);

if (!HAS_REDIS) console.warn('Calls on several processes are not tested: there is no redis-server.');

interface User extends Person {
  client: Client;
}

const ok = <Data>(answer: { ok: true; data: Data } | { ok: false; error: unknown }): Data => {
  if (!answer.ok) throw new Error(JSON.stringify(answer.error));
  return answer.data;
};

test('kill -9 with a call in each state: after the restart each ends or goes on, and everybody can call again', async () => {
  const settings = { DATA_DIR: await temporaryFolder(), THROTTLE_ENABLED: 'false' };
  const server = await spawnServer(settings);
  const url = await server.listening();
  const api = await createApi(url);
  const admin = await signUp(api, 'admin');
  const connectAs = async (name: string): Promise<User> => {
    const person = await signUp(api, name);
    const options = { transports: ['websocket'], reconnectionDelay: 100, reconnectionDelayMax: 500 };
    return { ...person, client: await connect(url, person.token, options) };
  };
  const pair = async (name: string) => [await connectAs(name), await connectAs(name)] as const;
  const ring = async ([caller, callee]: readonly [User, User]) =>
    ok(await caller.client.ask('call:start', { userId: callee.id }));
  const accept = async ([, callee]: readonly [User, User], callId: string) =>
    ok(await callee.client.ask('call:accept', { callId }));
  const get = async (callId: string, { token }: Person): Promise<Call> =>
    (await api.get(`/api/video-calls/${callId}`, token)).body.call;

  const ringing = await pair('ringing');
  const answered = await pair('answered');
  const leaving = await pair('leaving');
  const staying = await pair('staying');
  const answering = await pair('answering');
  const alone = await pair('alone');
  const everybody = [ringing, answered, leaving, staying, answering, alone].flat();
  const { channelId } = await createRoom(api, admin, [...alone]);

  // An active call.
  const { call: active } = await ring(answered);
  await accept(answered, active.id);
  // An active call that goes on, because both come back.
  const kept = await ring(staying);
  const { connection: keptByCallee } = await accept(staying, kept.call.id);
  // An active call of which one has lost the connection.
  const { call: left } = await ring(leaving);
  await accept(leaving, left.id);
  leaving[1].client.close();
  await until(async () => !(await get(left.id, leaving[0])).participants[1]!.connected);
  // A call in a channel with a single person in it.
  const { call: lonely } = ok(await alone[0].client.ask('call:start', { channelId }));
  // A call that rings, and one that is being answered.
  const { call: unanswered } = await ring(ringing);
  const { call: beingAnswered } = await ring(answering);
  answering[1].client.socket.emit('call:accept', { callId: beingAnswered.id }, () => {});
  await server.end('SIGKILL');
  for (const { client } of everybody) if (!staying.some((one) => one.client === client)) client.close();

  // Clients reconnect by themselves, and resume the call with the peer id that they had.
  const peers = [kept.connection!.peerId, keptByCallee.peerId];
  const resumed = staying.map(async ({ client }, index) => {
    await new Promise<void>((resolve) => client.socket.once('connect', resolve));
    return ok(await client.ask('call:join', { callId: kept.call.id, peerId: peers[index]! })).connection
      .peerId;
  });
  const again = await spawnServer({ ...settings, PORT: new URL(url).port });
  await again.listening();
  expect(await Promise.all(resumed)).toEqual(peers);

  const ended = async (callId: string, person: Person) => {
    await until(async () => (await get(callId, person)).state === 'ended', 60_000);
    const { outcome, endReason, participants } = await get(callId, person);
    return [outcome, endReason, ...participants.map(({ state }) => state)];
  };
  const completed = ['completed', 'connection_lost', 'left', 'left'];
  expect(await ended(active.id, answered[0])).toEqual(completed);
  expect(await ended(left.id, leaving[0])).toEqual(completed);
  expect(await ended(lonely.id, alone[1])).toEqual(['cancelled', 'connection_lost', 'left']);
  // Whichever was first: the end of the ringing, or that of the time in which the caller could come back.
  const unansweredEnds = [
    ['cancelled', 'connection_lost', 'left', 'missed'],
    ['missed', 'no_answer', 'left', 'missed'],
  ];
  expect(unansweredEnds).toContainEqual(await ended(unanswered.id, ringing[1]));
  expect([...unansweredEnds, completed]).toContainEqual(await ended(beingAnswered.id, answering[1]));

  const { state, participants } = await get(kept.call.id, staying[0]);
  expect([state, ...participants.map(({ connected }) => connected)]).toEqual(['active', true, true]);
  ok(await staying[0].client.ask('call:leave', { callId: kept.call.id }));
  expect(await ended(kept.call.id, staying[1])).toEqual(['completed', 'hung_up', 'left', 'left']);

  for (const [caller, callee] of [ringing, answered, leaving, staying, answering, alone]) {
    const { status, body } = await api.post('/api/video-calls', { userId: callee.id }, caller.token);
    expect([status, body.created, body.call.state]).toEqual([201, true, 'ringing']);
  }
  for (const { client } of staying) client.close();
  await again.end('SIGTERM');
}, 180_000);

(HAS_REDIS ? test : test.skip)(
  'kill -9 of one of two nodes: the other one ends its calls, each of them once',
  async () => {
    const redis = await startRedis();
    try {
      const settings = {
        MONGODB_URI: await spawnDatabase(),
        REDIS_URL: redis.url,
        UPLOAD_DIR: await temporaryFolder(),
        JWT_SECRET: 'a secret that is shared by both of the nodes',
        ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
        THROTTLE_ENABLED: 'false',
      };
      const [stays, dies] = [await spawnServer(settings), await spawnServer(settings)];
      const [url, dyingUrl] = [await stays.listening(), await dies.listening()];
      const api = await createApi(url);
      await signUp(api, 'admin');
      const connectTo = async (node: string): Promise<User> => {
        const person = await signUp(api, 'person');
        return {
          ...person,
          client: await connect(node, person.token, { transports: ['websocket'], reconnection: false }),
        };
      };
      // Of the one call a participant is on the node that dies; the other one was started there, with its time-outs.
      const [caller, callee, starter, called] = (await Promise.all(
        [url, dyingUrl, dyingUrl, url].map(connectTo),
      )) as [User, User, User, User];
      const active = ok(await caller.client.ask('call:start', { userId: callee.id }));
      const accepted = ok(await callee.client.ask('call:accept', { callId: active.call.id }));
      const near = new Peer(url, active.connection!.peerId, active.connection!.ticket);
      const far = new Peer(dyingUrl, accepted.connection.peerId, accepted.connection.ticket);
      for (const peer of [near, far]) await peer.receives(({ type }) => type === 'OPEN');
      near.send(offerTo(far, 'alive'));
      await far.receives(({ payload }) => payload === 'alive');
      const ringing = ok(await starter.client.ask('call:start', { userId: called.id }));
      await called.client.waitFor('call:ringing');

      await dies.end('SIGKILL');
      near.send(offerTo(far, 'to the dead'));
      expect(await near.receives(({ type }) => type === 'EXPIRE')).toMatchObject({ src: far.id });
      const endOf = async ({ client }: User, { id }: { id: string }) => {
        await until(
          () =>
            client.events.some(({ payload }) => payload?.call?.id === id && payload.call.state === 'ended'),
          60_000,
        );
        return client.events.filter(
          ({ payload }) => payload?.call?.id === id && payload.call.state === 'ended',
        );
      };
      const ends = [await endOf(caller, active.call), await endOf(called, ringing.call)];
      expect(ends.map((events) => events.length)).toEqual([1, 1]);
      expect(ends[0]![0]!.payload.call).toMatchObject({ outcome: 'completed', endReason: 'connection_lost' });
      // Whichever was first: the end of the ringing, or that of the time in which the caller could come back.
      expect(['no_answer', 'connection_lost']).toContain(ends[1]![0]!.payload.call.endReason);
      expect(await near.closed).toBe('call_ended');
      const missed = async () =>
        (await api.get('/api/client/notifications', called.token)).body.notifications.filter(
          ({ kind }: { kind: string }) => kind === 'call.missed',
        );
      await until(async () => (await missed()).length > 0, 30_000);
      const channel = await api.get(`/api/channels/${ringing.call.channelId}/messages`, called.token);
      expect([await missed(), channel.body.messages].map(({ length }) => length)).toEqual([1, 1]);
      const { status, body } = await api.post('/api/video-calls', { userId: called.id }, caller.token);
      expect([status, body.created]).toEqual([201, true]);
      for (const { client } of [caller, callee, starter, called]) client.close();
      await stays.end('SIGTERM');
    } finally {
      await redis.close();
    }
  },
  180_000,
);
