import { ObjectId } from 'mongodb';
import type { Call, CallOutcome } from '../../../models/video-call.model';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

/** The node that survives, and its time. */
const clock = new ManualClock();
let here: TestServer;
/** A node that dies in each test: its clock is never advanced, so it renews no lease and applies no time-out. */
let dying: TestServer;
let clients: Client[];

beforeAll(async () => {
  here = await startTestServer({}, { clock });
  // The first account is the super admin.
  await signUp(here.api);
});
beforeEach(async () => {
  clients = [];
  dying = await startTestServer({}, { beside: here, clock: new ManualClock(clock.now()) });
});
afterEach(async () => {
  for (const client of clients) client.close();
  await dying.close();
});
afterAll(() => here.close());

interface User extends Person {
  client: Client;
}

/** A new user with a socket on a node. */
async function userOn(node: TestServer): Promise<User> {
  const person = await signUp(here.api);
  return { ...person, client: await connectTo(node, person) };
}

async function connectTo(node: TestServer, { token }: Person): Promise<Client> {
  const client = await connect(node.url, token, { transports: ['websocket'], reconnection: false });
  clients.push(client);
  return client;
}

const ok = <Data>(answer: { ok: true; data: Data } | { ok: false; error: unknown }): Data => {
  if (!answer.ok) throw new Error(JSON.stringify(answer.error));
  return answer.data;
};

async function start({ client }: User, input: object): Promise<Call> {
  return ok(await client.ask('call:start', input)).call;
}

async function accept({ client }: User, { id: callId }: Call) {
  return ok(await client.ask('call:accept', { callId }));
}

const stored = async ({ id }: Call, { token }: Person): Promise<Call> =>
  (await here.api.get(`/api/video-calls/${id}`, token)).body.call;

/** The state, outcome and end reason of a call, and the states of its participants. */
const summaryOf = ({ state, outcome, endReason, participants }: Call) => [
  state,
  outcome,
  endReason,
  ...participants.map((one) => one.state),
];

/** Starts another call between two users, which is possible only when they are in no call. */
async function expectThatTheyCanCall(caller: Person, callee: Person): Promise<void> {
  const { status, body } = await here.api.post('/api/video-calls', { userId: callee.id }, caller.token);
  expect([status, body.created, body.call.state]).toEqual([201, true, 'ringing']);
  const cancelled = await here.api.post(`/api/video-calls/${body.call.id}/cancel`, undefined, caller.token);
  expect(cancelled.status).toBe(200);
}

/** The time by which everything has ended: a lease, an interval of the job, and the grace. */
const RECOVERY_MS = 10_000 + 5_000 + 15_000;

describe('when a node dies, a call of two', () => {
  type Expected = [CallOutcome, string, string, string];
  const cases: [string, ('here' | 'dying')[], (call: Call, both: [User, User]) => unknown, Expected][] = [
    [
      'that rings, whose caller was connected to it, is cancelled',
      ['dying', 'here'],
      () => undefined,
      ['cancelled', 'connection_lost', 'left', 'missed'],
    ],
    [
      'that rings, whose callee was connected to it, is missed',
      ['here', 'dying'],
      () => undefined,
      ['missed', 'no_answer', 'left', 'missed'],
    ],
    [
      'that rings, both of which were connected to it, is cancelled',
      ['dying', 'dying'],
      () => undefined,
      ['cancelled', 'connection_lost', 'left', 'missed'],
    ],
    [
      'that is active, both of which were connected to it, ends',
      ['dying', 'dying'],
      (call, [, callee]) => accept(callee, call),
      ['completed', 'connection_lost', 'left', 'left'],
    ],
    [
      'that is active, whose callee was connected to it, ends',
      ['here', 'dying'],
      (call, [, callee]) => accept(callee, call),
      ['completed', 'connection_lost', 'left', 'left'],
    ],
    [
      'that is active, one of which had lost the connection, ends',
      ['dying', 'dying'],
      async (call, [caller, callee]) => {
        await accept(callee, call);
        callee.client.close();
        await until(async () => !(await stored(call, caller)).participants[1]!.connected);
      },
      ['completed', 'connection_lost', 'left', 'left'],
    ],
  ];

  it.each(cases)('%s', async (_, nodes, prepare, [outcome, ...rest]) => {
    const [caller, callee] = (await Promise.all(
      nodes.map((node) => userOn(node === 'here' ? here : dying)),
    )) as [User, User];
    // The nodes are not connected by Redis: this one knows a conversation that it has created.
    await here.api.post('/api/direct-messages', { userIds: [callee.id] }, caller.token);
    const call = await start(caller, { userId: callee.id });
    await prepare(call, [caller, callee]);
    await clock.advance(RECOVERY_MS);
    expect(summaryOf(await stored(call, caller))).toEqual(['ended', outcome, ...rest]);
    // The clients of the surviving node receive it.
    for (const [index, { client }] of [caller, callee].entries()) {
      if (nodes[index] === 'here')
        await client.waitFor('call:updated', (received) => received.call.state === 'ended');
    }
    await expectThatTheyCanCall(caller, callee);
    await expectThatTheyCanCall(callee, caller);
  });

  it('goes on when its participants resume on another node, before or after the death is noticed', async () => {
    const [caller, callee] = await Promise.all([userOn(dying), userOn(dying)]);
    const call = await start(caller, { userId: callee.id });
    const { peerId } = (await accept(callee, call)).connection;
    const own = (await stored(call, caller)).participants[0]!.peerId;
    const resume = async (user: User, peer: string | null) => {
      const client = await connectTo(here, user);
      const joined = ok(await client.ask('call:join', { callId: call.id, peerId: peer! }));
      expect(joined.connection.peerId).toBe(peer);
      return client;
    };
    const client = await resume(callee, peerId);
    await clock.advance(RECOVERY_MS / 2);
    expect((await stored(call, caller)).participants.map(({ connected }) => connected)).toEqual([
      false,
      true,
    ]);
    await resume(caller, own);
    await clock.advance(2 * RECOVERY_MS);
    const { state, participants } = await stored(call, caller);
    expect([state, ...participants.map(({ connected }) => connected)]).toEqual(['active', true, true]);
    ok(await client.ask('call:leave', { callId: call.id }));
    expect(summaryOf(await stored(call, caller)).slice(0, 3)).toEqual(['ended', 'completed', 'hung_up']);
  });
});

it('a participant who resumes with another socket stays when the earlier one is lost', async () => {
  const [caller, callee] = await Promise.all([userOn(here), userOn(here)]);
  const call = await start(caller, { userId: callee.id });
  const { peerId } = (await accept(callee, call)).connection;
  const client = await connectTo(here, callee);
  const resumed = ok(await client.ask('call:join', { callId: call.id, peerId }));
  expect(ok(await client.ask('call:join', { callId: call.id, peerId })).call.version).toBe(
    resumed.call.version,
  );
  callee.client.close();
  await until(() => here.context.services.connections.connectionsOf(new ObjectId(callee.id)).length === 1);
  await clock.advance(RECOVERY_MS);
  expect(summaryOf(await stored(call, caller))).toEqual(['active', null, null, 'joined', 'joined']);
  ok(await client.ask('call:leave', { callId: call.id }));
});

describe('when a node dies, a call in a group', () => {
  it('goes on without those who were connected to it', async () => {
    const [one, other, third] = await Promise.all([userOn(here), userOn(here), userOn(dying)]);
    const { channelId } = await createRoom(here.api, one, [other, third]);
    const call = await start(one, { channelId });
    for (const { client } of [other, third]) ok(await client.ask('call:join', { callId: call.id }));
    await clock.advance(RECOVERY_MS);
    expect(summaryOf(await stored(call, one))).toEqual(['active', null, null, 'joined', 'joined', 'left']);
    ok(await one.client.ask('call:end', { callId: call.id }));
  });

  it('ends if all who were in it were connected to it', async () => {
    const [one, other] = await Promise.all([userOn(dying), userOn(here)]);
    const { channelId } = await createRoom(here.api, one, [other]);
    const call = await start(one, { channelId });
    expect(call.state).toBe('active');
    await clock.advance(RECOVERY_MS);
    expect(summaryOf(await stored(call, other)).slice(0, 3)).toEqual([
      'ended',
      'cancelled',
      'connection_lost',
    ]);
    expect((await here.api.post('/api/video-calls', { channelId }, other.token)).body.created).toBe(true);
  });
});
