import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { rounds, SEED, TIMEOUT_MS } from '../../../../tools/jest/budget';
import { anyRaces, type CallCommand } from '../../fixtures/call-commands';
import { CallWorld } from '../../fixtures/call-world';
import { copyPerson } from '../../fixtures/copies';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

if (!HAS_REDIS) console.warn('Calls on several nodes are not tested: there is no redis-server.');

/** How often each race is run by default. */
const REPETITIONS = 4;

describe.each(HAS_REDIS ? [1, 2] : [1])('calls on %d nodes, with concurrent events', (count) => {
  const clock = new ManualClock();
  const nodes: TestServer[] = [];
  let redis: RedisProcess | undefined;
  let root: Person;
  let model: Person;

  beforeAll(async () => {
    if (count > 1) redis = await startRedis();
    const settings = { SOCKET_EVENTS_PER_SECOND: '10000', ...(redis && { REDIS_URL: redis.url }) };
    for (let index = 0; index < count; index++) {
      const beside = nodes[0];
      nodes.push(await startTestServer(settings, { clock, ...(beside && { beside }) }));
    }
    root = await signUp(nodes[0]!.api, 'root');
    model = await signUp(nodes[0]!.api, 'model');
  });
  afterAll(async () => {
    for (const node of [...nodes].reverse()) await node.close();
    await redis?.close();
  });

  /** Waits until a list is empty; shows it if it does not become empty. */
  async function expectEmpty(list: () => Promise<unknown[]>, world: CallWorld): Promise<void> {
    await until(async () => (await list()).length === 0).catch(async () => {
      const { outcomes } = world;
      expect({ found: await list(), outcomes, stored: await world.stored() }).toEqual({
        found: [],
        outcomes,
        stored: [],
      });
    });
  }

  async function play(races: CallCommand[][]): Promise<void> {
    const world = await CallWorld.create(nodes, clock, { root, model });
    try {
      for (const commands of races) {
        await world.race(commands);
        // The time stands still, so that no background job repairs anything meanwhile.
        await expectEmpty(() => world.misplaced(), world);
      }
      expect(world.outcomes.filter(({ status }) => status === 'internal_error')).toEqual([]);
      world.checkSilence();
      await until(() => world.isSettled);
      // Nobody answers, and nobody comes back.
      await clock.advance(50_000);
      await expectEmpty(() => world.left(), world);
      await expectEmpty(() => world.differences(), world);
      world.close();
      await until(() => world.isSettled);
      await expectEmpty(async () => {
        const open = (await world.stored()).flatMap((call) => (call.open ? call.participants : []));
        return open.filter(({ connection }) => connection);
      }, world);
      await clock.advance(20_000);
      const hanging = (await world.stored()).filter(({ open }) => open);
      expect({ hanging, outcomes: world.outcomes }).toEqual({ hanging: [], outcomes: world.outcomes });
    } finally {
      world.close();
    }
  }

  test(
    'every call ends, nobody is in a call without the right, and every client knows what is stored',
    async () => {
      for (const round of rounds(1)) {
        await fc.assert(fc.asyncProperty(anyRaces, play), {
          seed: SEED + round,
          numRuns: 3,
          endOnFailure: true,
        });
      }
      for (const { context } of nodes) {
        const failed = context.jobs
          .status()
          .filter(({ name, failures }) => name.startsWith('call_') && failures > 0);
        expect(failed).toEqual([]);
      }
    },
    TIMEOUT_MS * 2,
  );

  const newPerson = () => copyPerson(nodes[0]!, model);
  const node = (index: number) => nodes[index % nodes.length]!;
  const codesOf = (acks: any[]) => acks.map((ack) => (ack.ok ? 'ok' : ack.error.code)).sort();

  test('of several devices that answer at the same time, one is in the call', async () => {
    for (let repetition = 0; repetition < REPETITIONS; repetition++) {
      const [alice, bob] = [await newPerson(), await newPerson()];
      const caller = await connectClient(node(0).url, alice);
      // Two tabs of one session on each node.
      const devices = await Promise.all([0, 1, 0, 1].map((index) => connectClient(node(index).url, bob)));
      const started: any = await caller.ask('call:start', { userId: bob.id });
      const { id: callId } = started.data.call;
      const acks: any[] = await Promise.all(devices.map((each) => each.ask('call:accept', { callId })));
      const elsewhere = 'answered_elsewhere';
      expect(codesOf(acks)).toEqual([elsewhere, elsewhere, elsewhere, 'ok'].sort());
      const { body } = await node(1).api.get(`/api/video-calls/${callId}`, bob.token);
      const { peerId } = acks.find(({ ok }) => ok).data.connection;
      expect(body.call.participants[1]).toMatchObject({ userId: bob.id, state: 'joined', peerId });
    }
  });

  test('people who call each other at the same time are in one call', async () => {
    for (let repetition = 0; repetition < REPETITIONS; repetition++) {
      const [alice, bob] = [await newPerson(), await newPerson()];
      const [a, b] = [await connectClient(node(0).url, alice), await connectClient(node(1).url, bob)];
      // A request with a key runs in a transaction with the record of its answer.
      const key = () => (repetition % 2 === 0 ? {} : { idempotencyKey: randomUUID() });
      const acks: any[] = await Promise.all([
        a.ask('call:start', { userId: bob.id, ...key() }),
        b.ask('call:start', { userId: alice.id, ...key() }),
        // A double click.
        a.ask('call:start', { userId: bob.id, ...key() }),
      ]);
      expect(codesOf(acks)).toEqual(['ok', 'ok', 'ok']);
      expect(new Set(acks.map(({ data }) => data.call.id)).size).toBe(1);
      expect(acks.filter(({ data }) => data.created)).toHaveLength(1);
      const { body } = await node(1).api.get('/api/video-calls/active', bob.token);
      expect(body.calls).toMatchObject([
        { state: 'active', participants: [{ state: 'joined' }, { state: 'joined' }] },
      ]);
    }
  });

  test('an idempotency key starts one call, however often and wherever the request arrives', async () => {
    const [alice, bob] = [await newPerson(), await newPerson()];
    const headers = { 'Idempotency-Key': `call-${alice.id}` };
    const answers = await Promise.all(
      [0, 1, 0].map((index) =>
        node(index).api.call('post', '/api/video-calls', {
          token: alice.token,
          body: { userId: bob.id },
          headers,
        }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map(({ body }) => body.connection.peerId)).size).toBe(1);
  });

  const storedCall = async (id: string) =>
    (await nodes[0]!.context.database.collections.videoCalls.findOne({ _id: new ObjectId(id) }))!;

  test('a socket that enters a call is not taken for a lost one meanwhile', async () => {
    const [alice, bob] = [await newPerson(), await newPerson()];
    const client = await connectClient(node(0).url, alice);
    // The job that looks for lost connections examines the call while the change is being published.
    const { bus, services } = nodes[0]!.context;
    const stop = bus.subscribe(async (event) => {
      if (event.type !== 'call.changed') return;
      stop();
      await services.callConnections.releaseLost(event.call);
    });
    const started: any = await client.ask('call:start', { userId: bob.id });
    const { participants } = await storedCall(started.data.call.id);
    expect(participants[0]).toMatchObject({ connection: { id: client.socket.id }, leaveAt: null });
  });

  test('a peer that is lost while it connects does not stay in the call', async () => {
    const [alice, bob] = [await newPerson(), await newPerson()];
    const client = await connectClient(node(0).url, alice);
    const started: any = await client.ask('call:start', { userId: bob.id });
    const { _id: callId, participants } = await storedCall(started.data.call.id);
    const { userId, place } = participants[0]!;
    const { callConnections } = nodes[0]!.context.services;
    const attaching = callConnections.attachPeer({ callId, userId, ...place!, connectionId: 'lost' });
    await Promise.all([attaching, callConnections.lost('lost')]);
    expect((await storedCall(started.data.call.id)).participants[0]).toMatchObject({
      connection: null,
      leaveAt: expect.any(Date),
    });
  });

  test('a call that cannot be updated does not keep others from their time-outs', async () => {
    const [alice, bob] = [await newPerson(), await newPerson()];
    const { videoCalls } = nodes[0]!.context.database.collections;
    const broken = { _id: new ObjectId('0'.repeat(24)), state: 'active', dueAt: new Date(0), version: 1 };
    await videoCalls.insertOne(broken as never);
    const client = await connectClient(node(0).url, alice);
    const started: any = await client.ask('call:start', { userId: bob.id });
    await clock.advance(40_000);
    await videoCalls.deleteOne({ _id: broken._id });
    expect(await storedCall(started.data.call.id)).toMatchObject({ state: 'ended', outcome: 'missed' });
  });
});

test('a change of a call is not sent to those who have just lost access', async () => {
  const server = await startTestServer();
  const owner = await signUp(server.api, 'owner');
  const people = [await signUp(server.api, 'bob'), await signUp(server.api, 'carol')] as const;
  const { channelId } = await createRoom(server.api, owner, [...people]);
  const [a, b, c] = await Promise.all([
    connectClient(server.url, owner),
    connectClient(server.url, people[0]),
    connectClient(server.url, people[1]),
  ]);
  const started: any = await a.ask('call:start', { channelId });
  const { id: callId } = started.data.call;
  expect(await b.ask('call:join', { callId })).toMatchObject({ ok: true });
  await c.waitFor('call:updated', ({ call }) => call.state === 'active');
  // The channel becomes private while the audience of a change is being read.
  const { channels, videoCalls } = server.context.database.collections;
  // Not while the message about the call is being written, which uses the same operations.
  await until(async () => (await videoCalls.findOne({ recordDue: true })) === null);
  const find = channels.findOne.bind(channels);
  const replace = videoCalls.findOneAndReplace.bind(videoCalls);
  let closed: Promise<unknown> | undefined;
  videoCalls.findOneAndReplace = (async (...parameters: Parameters<typeof replace>) => {
    Reflect.deleteProperty(videoCalls, 'findOneAndReplace');
    const replaced = await replace(...parameters);
    channels.findOne = (async (...filter: Parameters<typeof find>) => {
      Reflect.deleteProperty(channels, 'findOne');
      const found = await find(...filter);
      closed = server.api.patch(`/api/channels/${channelId}`, { visibility: 'private' }, owner.token);
      await closed;
      return found;
    }) as typeof find;
    return replaced;
  }) as typeof replace;
  const before = c.events.length;
  expect(await a.ask('call:set_media', { callId, hand: true })).toMatchObject({ ok: true });
  expect(await closed).toMatchObject({ status: 200 });
  await c.ask('call:leave', { callId });
  expect(c.events.slice(before).filter(({ event }) => event === 'call:updated')).toEqual([]);
  await server.close();
});
