import { Redis } from 'ioredis';
import type { Call } from '../../../models/video-call.model';
import {
  expectSignalling,
  joinCall,
  offerTo,
  usePeers,
  type CallDevice,
  type Peer,
} from '../../fixtures/peer';
import { signUp, signUpAll, type Person } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { counterOf, startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

if (!HAS_REDIS) console.warn('Calls between nodes are not tested: there is no redis-server.');

(HAS_REDIS ? describe : describe.skip)('peers on different nodes', () => {
  let redis: RedisProcess;
  let here: TestServer;
  let there: TestServer;
  let root: Person;
  let ada: Person;
  let bruno: Person;
  let carla: Person;
  const { start, register } = usePeers(
    () => here,
    () => [there],
  );
  const startNode = (beside?: TestServer) =>
    startTestServer({ PEERJS_ENABLED: 'true', REDIS_URL: redis.url }, beside && { beside });

  beforeAll(async () => {
    redis = await startRedis();
    here = await startNode();
    there = await startNode(here);
    root = await signUp(here.api, 'root');
  });
  beforeEach(async () => {
    ({ ada, bruno, carla } = await signUpAll(here.api, 'ada', 'bruno', 'carla'));
  });
  afterAll(async () => {
    await there.close();
    await here.close();
    await redis.close();
  });

  /** Two people in a call, whose peers are on different nodes. */
  async function pair(): Promise<[Peer, Peer, CallDevice, CallDevice]> {
    const [first, second] = await joinCall(here.api, ada, bruno);
    return [await register(first), await register(second, there), first, second];
  }
  const payloadsOf = ({ received }: Peer) =>
    received
      .filter(({ payload, type }) => payload !== undefined && type !== 'OPEN')
      .map(({ payload }) => payload);
  const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

  /** Collects what the nodes send to each other from now on: the channels and the texts. */
  async function observe(): Promise<{ relayed: [string, string][]; stop: () => void }> {
    const observer = new Redis(redis.url);
    const relayed: [string, string][] = [];
    observer.on('pmessage', (_pattern, channel: string, text: string) => relayed.push([channel, text]));
    await observer.psubscribe('parley:*:peers:*');
    return { relayed, stop: () => observer.disconnect() };
  }

  test('receive the frames of each other once and in order, whatever their type', async () => {
    const [near, far] = await pair();
    const relayed = () => counterOf(here, 'parley_peer_frames_relayed_total', { outcome: 'delivered' });
    const before = await relayed();
    const types = ['OFFER', 'ANSWER', 'CANDIDATE'];
    for (const number of numbers(0, 120)) {
      const type = types[number % 3];
      near.send({ type, dst: far.id, payload: number });
      far.send({ type, dst: near.id, payload: number });
    }
    near.send({ type: 'LEAVE', dst: far.id });
    expect(await far.receives(({ type }) => type === 'LEAVE')).toEqual({
      type: 'LEAVE',
      src: near.id,
      dst: far.id,
    });
    await until(() => payloadsOf(near).length === 120);
    // A frame is counted when the other node has confirmed it.
    await until(async () => (await relayed()) >= before + 121);
    expect(await relayed()).toBe(before + 121);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      expect(payloadsOf(to)).toEqual(numbers(0, 120));
      expect(to.received[1]).toEqual({ type: 'OFFER', src: from.id, dst: to.id, payload: 0 });
      expect(from.framesOf('EXPIRE')).toEqual([]);
    }
  });

  test('receive what was sent to them before they registered, on whatever node, and then the rest', async () => {
    const [first, second] = await joinCall(here.api, ada, bruno);
    const near = await register(first);
    const { relayed, stop } = await observe();
    for (const number of numbers(0, 10)) near.send(offerTo(second, number));
    const far = start(second, there);
    let sent = 10;
    while (far.framesOf('OPEN').length === 0) {
      near.send(offerTo(second, sent++));
      // The answer shows that the node has received the frame.
      await here.api.get('/health/live');
    }
    await until(() => payloadsOf(far).length === sent);
    expect(payloadsOf(far)).toEqual(numbers(0, sent));
    expect(near.framesOf('EXPIRE')).toEqual([]);
    // The frames arrive while the connection is being opened. Its node waits for that, so none had to be sent twice.
    expect(relayed.length).toBeGreaterThan(0);
    expect(relayed.filter(([, text]) => text.includes('absent'))).toEqual([]);
    stop();
  });

  test('a peer that connects to another node replaces its former connection, and misses nothing', async () => {
    const [near, far, , device] = await pair();
    let sent = 0;
    const connections = [far];
    for (const node of [here, there]) {
      const next = start(device, node);
      while ((next.framesOf('OPEN').length === 0 && next.isOpen !== false) || next.received.length === 0) {
        near.send(offerTo(device, sent++));
        await here.api.get('/health/live');
      }
      const former = connections.at(-1)!;
      await former.closed;
      expect(former.framesOf('ID-TAKEN')).toHaveLength(1);
      expect(next.received[0]).toEqual({ type: 'OPEN' });
      await expectSignalling(near, next);
      connections.push(next);
    }
    const received = connections.flatMap(payloadsOf).filter((payload) => typeof payload === 'number');
    expect(received).toEqual(numbers(0, sent));
    expect(near.framesOf('EXPIRE')).toEqual([]);
  });

  test('of other calls are absent for each other', async () => {
    const [near] = await pair();
    const [other] = await joinCall(here.api, carla);
    const stranger = await register(other, there);
    near.send(offerTo(stranger, 'for another call'));
    expect(await near.receives(({ type }) => type === 'EXPIRE')).toEqual({
      type: 'EXPIRE',
      src: stranger.id,
      dst: near.id,
    });
    expect(stranger.received).toEqual([{ type: 'OPEN' }]);
  });

  test('on a node that has stopped cause EXPIRE, unless they connect to another one in time', async () => {
    const third = await startNode(here);
    const [first, second, late] = await joinCall(here.api, ada, bruno, carla);
    const near = await register(first);
    const gone = [await register(second, third), await register(late, third)];
    await third.close();
    await Promise.all(gone.map(({ closed }) => closed));
    near.send(offerTo(second, 'for the one who stays away'));
    near.send(offerTo(late, 'for the one who returns'));
    const back = await register(late, there);
    expect(await back.receives(({ type }) => type === 'OFFER')).toMatchObject({
      src: near.id,
      payload: 'for the one who returns',
    });
    await near.receives(({ type }) => type === 'EXPIRE');
    expect(near.framesOf('EXPIRE')).toEqual([{ type: 'EXPIRE', src: second.id, dst: near.id }]);
  });

  describe('who may not be in the call any more', () => {
    const removals: [string, (device: CallDevice, groupId: string) => Promise<{ status: number }>][] = [
      [
        'a removal from the group',
        ({ person }, groupId) => there.api.delete(`/api/groups/${groupId}/members/${person.id}`, ada.token),
      ],
      ['a log-out', ({ person }) => there.api.post('/api/auth/logout', undefined, person.token)],
      [
        'a suspension',
        ({ person }) => there.api.post(`/api/admin/users/${person.id}/suspend`, { reason: 'x' }, root.token),
      ],
      [
        'leaving the call',
        ({ person, callId }) => there.api.post(`/api/video-calls/${callId}/leave`, undefined, person.token),
      ],
    ];

    test.each(removals)('reaches nobody after %s, not even by what was on its way', async (_, remove) => {
      const [own, second, third] = await joinCall(here.api, ada, bruno, carla);
      const { groupId } = (await here.api.get(`/api/video-calls/${own.callId}`, ada.token)).body.call;
      const receiver = await register(own, there);
      const other = await register(third, there);
      const publisher = new Redis(redis.url);
      const { relayed, stop } = await observe();
      const removed = await register(second);
      await expectSignalling(removed, receiver);
      await until(() => relayed.some(([, text]) => text.includes('mark')));
      const [channel, text] = relayed.find(([, one]) => one.includes('mark'))!;
      const flood = setInterval(() => removed.isOpen && removed.send(offerTo(receiver, 'flood')), 1);

      expect(Math.floor((await remove(second, groupId)).status / 100)).toBe(2);
      // What a node would have sent before it learned of the removal.
      const late = text.replace(/"from":"[^"]+"/, '"from":"late"').replace(/mark \d+/, 'too late');
      await publisher.publish(channel, late);
      await until(() => relayed.some(([to]) => to.endsWith(':late')));
      other.send(offerTo(receiver, 'after the removal'));
      const last = await receiver.receives(({ payload }) => payload === 'after the removal');
      await removed.closed;
      clearInterval(flood);
      await expectSignalling(other, receiver);
      const after = receiver.received.slice(receiver.received.indexOf(last));
      expect(after.filter(({ src }) => src === removed.id)).toEqual([]);
      expect(payloadsOf(receiver)).not.toContain('too late');
      publisher.disconnect();
      stop();
    });
  });

  test('receive nothing through a node that may have missed removals, until it has caught up', async () => {
    const [first, second, third] = await joinCall(here.api, ada, bruno, carla);
    const near = await register(first);
    const beside = await register(third);
    const far = await register(second, there);
    const stale = jest.spyOn(here.context.freshness, 'isFresh', 'get').mockReturnValue(false);
    near.send(offerTo(beside, 'beside'));
    near.send(offerTo(far, 'away'));
    far.send(offerTo(near, 'back'));
    // The answers show that the nodes have received the frames.
    for (const { api } of [here, there]) await api.get('/health/live');
    expect([near, beside, far].flatMap(payloadsOf)).toEqual([]);
    stale.mockRestore();
    for (const [to, payload] of [
      [beside, 'beside'],
      [far, 'away'],
      [near, 'back'],
    ] as const) {
      await to.receives((frame) => frame.payload === payload);
    }
    expect([near, far].flatMap((peer) => peer.framesOf('EXPIRE'))).toEqual([]);
  });

  test('malformed messages from Redis do no harm', async () => {
    const [near, far, { callId }] = await pair();
    const stranger = new Redis(redis.url);
    const channels = [here, there].map(
      ({ context }) => `parley:${context.config.database.name}:peers:${context.nodes.id}`,
    );
    const [{ id: connectionId } = { id: '' }] = there.context.services.peers.connectionsOf(bruno.id);
    const delivery = { callId, version: 1, to: { peerId: far.id, connectionId } };
    const deep = `{"type":"OFFER","dst":"${far.id}","payload":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
    const contents = [
      ...[
        1,
        null,
        '',
        '{',
        '[]',
        'null',
        '{"type":"OFFER"}',
        '{"type":"HEARTBEAT"}',
        '{"type":"LEAVE"}',
        deep,
      ],
      JSON.stringify(offerTo(near)),
    ];
    const bodies = [
      ...[
        null,
        [],
        {},
        'x',
        delivery,
        { ...delivery, frames: [null] },
        { ...delivery, callId: 'x', frames: [] },
      ],
      ...contents.map((text) => ({ ...delivery, frames: [{ src: near.id, text }] })),
      { ...delivery, frames: [{ src: 'nobody', text: JSON.stringify(offerTo(far)) }] },
    ];
    const texts = bodies.flatMap((body, index) => [
      { from: 'x', id: index + 1, body },
      { from: 'x', id: {}, body },
      { answerTo: 1, body },
      { from: here.context.nodes.id, id: 2 ** 40 + index, body },
    ]);
    for (const channel of channels) {
      for (const text of ['', '{', 'null', '[]', ...texts.map((one) => JSON.stringify(one))]) {
        await stranger.publish(channel, text);
      }
    }
    stranger.disconnect();
    expect(far.received).toEqual([{ type: 'OPEN' }]);
    await expectSignalling(far, near);
    await expectSignalling(near, far);
  });

  describe('without Redis', () => {
    /** Sends frames until one arrives: the nodes connect to Redis again one after the other. */
    async function reach(from: Peer, to: Peer): Promise<void> {
      const isConnected = (node: TestServer) => counterOf(node, 'parley_redis_connected');
      await until(async () => (await isConnected(here)) + (await isConnected(there)) === 4);
      while (!payloadsOf(to).includes('again')) {
        const answers = from.framesOf('EXPIRE').length;
        from.send(offerTo(to, 'again'));
        await until(() => payloadsOf(to).includes('again') || from.framesOf('EXPIRE').length > answers);
      }
    }

    test('receive nothing twice and nothing in another order when Redis has hung', async () => {
      const [near, far, { callId }] = await pair();
      await expectSignalling(near, far);
      redis.signal('SIGSTOP');
      try {
        for (const number of numbers(0, 5)) near.send(offerTo(far, number));
        await here.api.get('/health/live');
        // An event of the call, while the frames are on their way.
        const answer = await here.api.patch(`/api/video-calls/${callId}/media`, { hand: true }, ada.token);
        expect(answer.status).toBe(200);
        for (const number of numbers(5, 10)) near.send(offerTo(far, number));
        await near.receives(({ type }) => type === 'EXPIRE');
      } finally {
        redis.signal('SIGCONT');
      }
      await reach(near, far);
      const received = payloadsOf(far).filter((payload) => typeof payload === 'number');
      expect(received).toEqual([...new Set(received)].sort((a, b) => a - b));
    });

    test('cause EXPIRE at once, while those on the same node are connected, until Redis is back', async () => {
      const [first, second, third] = await joinCall(here.api, ada, bruno, carla);
      const near = await register(first);
      const beside = await register(third);
      const far = await register(second, there);
      await expectSignalling(near, far);
      await redis.close();
      for (const number of numbers(0, 20)) near.send(offerTo(far, number));
      await until(() => near.framesOf('EXPIRE').length > 0);
      await expectSignalling(near, beside);
      redis = await startRedis(redis.port);
      await reach(near, far);
      await reach(far, near);
      expect(payloadsOf(far).filter((payload) => typeof payload === 'number')).toEqual([]);
    });
  });

  describe('the events of a call', () => {
    const clients: Client[] = [];
    afterEach(() => {
      for (const client of clients.splice(0)) client.close();
    });

    async function device({ token }: Person, node: TestServer): Promise<Client> {
      const client = await connect(node.url, token, { transports: ['websocket'], reconnection: false });
      clients.push(client);
      return client;
    }
    const ask = async (client: Client, event: 'call:start' | 'call:accept', input: object): Promise<Call> => {
      const answer = await client.ask(event, input);
      if (!answer.ok) throw new Error(answer.error.code);
      return (answer.data as { call: Call }).call;
    };
    const act = async (
      client: Client,
      event: 'call:decline' | 'call:leave' | 'call:cancel',
      callId: string,
    ) => expect(await client.ask(event, { callId })).toMatchObject({ ok: true });
    const ringsOf = ({ events }: Client, { id }: Call) =>
      events.filter(({ event, payload }) => event === 'call:ringing' && payload.call.id === id);
    /** Waits until all devices have received a state of the call, each version of it once. */
    async function allSee(devices: Client[], { id }: Call, matches: (call: Call) => boolean): Promise<void> {
      await Promise.all(
        devices.map((each) => each.waitFor('call:updated', ({ call }) => call.id === id && matches(call))),
      );
      for (const { events } of devices) {
        const versions = events
          .filter(({ event, payload }) => event === 'call:updated' && payload.call.id === id)
          .map(({ payload }) => payload.call.version);
        expect(versions).toEqual([...new Set(versions)]);
      }
    }
    const stateOf = ({ participants }: Call, { id }: Person) =>
      participants.find(({ userId }) => userId === id)?.state;

    test('reach all devices on all nodes once: ringing, answered elsewhere, mute, and the end', async () => {
      const caller = await device(ada, here);
      const called = [await device(bruno, here), await device(bruno, there), await device(bruno, there)];
      const all = [caller, ...called];
      const call = await ask(caller, 'call:start', { userId: bruno.id });
      await Promise.all(called.map((each) => each.waitFor('call:ringing')));
      await ask(called[1]!, 'call:accept', { callId: call.id });
      await allSee(all, call, ({ state }) => state === 'active');
      expect(await called[0]!.ask('call:accept', { callId: call.id })).toMatchObject({
        error: { code: 'answered_elsewhere' },
      });
      expect(await called[1]!.ask('call:set_media', { callId: call.id, audio: false })).toMatchObject({
        ok: true,
      });
      await allSee(all, call, ({ participants }) =>
        participants.some((one) => one.userId === bruno.id && !one.audio),
      );
      await act(called[1]!, 'call:leave', call.id);
      await allSee(all, call, ({ state, endReason }) => state === 'ended' && endReason === 'hung_up');
      expect(called.map((each) => ringsOf(each, call).length)).toEqual([1, 1, 1]);
      expect(ringsOf(caller, call)).toEqual([]);
    });

    test.each<[string, (caller: Client, callee: Client, callId: string) => Promise<unknown>, string]>([
      ['declined on another node', (_caller, callee, id) => act(callee, 'call:decline', id), 'declined'],
      ['cancelled on another node', (caller, _callee, id) => act(caller, 'call:cancel', id), 'cancelled'],
      [
        'ended by an administrator on another node',
        (_caller, _callee, id) =>
          there.api.post(`/api/admin/video-calls/${id}/end`, { reason: 'x' }, root.token),
        'ended_by_admin',
      ],
      [
        'ended by a block on another node',
        () => there.api.call('put', `/api/users/me/blocks/${ada.id}`, { token: bruno.token }),
        'access_lost',
      ],
    ])('stop the ringing everywhere when the call is %s', async (_, end, endReason) => {
      const caller = await device(ada, here);
      const called = [await device(bruno, there), await device(bruno, here)];
      const call = await ask(caller, 'call:start', { userId: bruno.id });
      await Promise.all(called.map((each) => each.waitFor('call:ringing')));
      await end(caller, called[0]!, call.id);
      await allSee([caller, ...called], call, (now) => now.state === 'ended' && now.endReason === endReason);
      expect(called.map((each) => ringsOf(each, call).length)).toEqual([1, 1]);
    });

    test('tell both nodes when a participant loses the connection, and moves to another node', async () => {
      const caller = await device(ada, here);
      const callee = await device(bruno, there);
      const call = await ask(caller, 'call:start', { userId: bruno.id });
      await callee.waitFor('call:ringing');
      await ask(callee, 'call:accept', { callId: call.id });
      const isConnected = ({ participants }: Call) =>
        participants.find(({ userId }) => userId === bruno.id)?.connected;
      callee.close();
      await allSee([caller], call, (now) => now.state === 'active' && !isConnected(now));
      const moved = await device(bruno, here);
      const answer = await moved.ask('call:join', { callId: call.id });
      expect(answer).toMatchObject({ ok: true });
      await allSee(
        [caller, moved],
        call,
        (now) => stateOf(now, bruno) === 'joined' && isConnected(now) === true,
      );
    });
  });
});
