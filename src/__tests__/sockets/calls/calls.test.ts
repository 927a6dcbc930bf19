import type { Call } from '../../../models/video-call.model';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';

describe('calls', () => {
  let server: TestServer;
  const clock = new ManualClock();
  let counter = 0;
  const open: Client[] = [];

  beforeAll(async () => {
    server = await startTestServer({}, { clock });
  });
  afterEach(() => {
    for (const client of open.splice(0)) client.close();
  });
  afterAll(() => server.close());

  async function people<Name extends string>(...names: Name[]): Promise<Record<Name, Person>> {
    counter++;
    const made = await signUpAll(server.api, ...names.map((name) => `${name}${counter}x`));
    return Object.fromEntries(names.map((name) => [name, made[`${name}${counter}x`]!])) as Record<
      Name,
      Person
    >;
  }

  async function device({ token }: Person): Promise<Client> {
    const client = await connect(server.url, token);
    open.push(client);
    return client;
  }

  async function ask(client: Client, event: any, payload: unknown): Promise<any> {
    const ack: any = await client.ask(event, payload);
    if (!ack.ok) throw new Error(ack.error.code);
    return ack.data;
  }

  const stateOf = (call: Call, { id }: Person) =>
    call.participants.find(({ userId }) => userId === id)?.state;
  const when = (client: Client, matches: (call: Call) => boolean) =>
    client.waitFor('call:updated', ({ call }) => matches(call));

  /** A call that one user has started and another has accepted. */
  async function talking() {
    const { alice, bob } = await people('alice', 'bob');
    const [a, b] = [await device(alice), await device(bob)];
    const { call } = await ask(a, 'call:start', { userId: bob.id });
    await b.waitFor('call:ringing', ({ call: { id } }) => id === call.id);
    await ask(b, 'call:accept', { callId: call.id });
    return { alice, bob, a, b, callId: call.id as string };
  }

  it('rings all devices of the callee, and stops on the others when one accepts', async () => {
    const { alice, bob } = await people('alice', 'bob');
    const a = await device(alice);
    const [phone, laptop] = [await device(bob), await device(bob)];
    const { call, created, connection } = await ask(a, 'call:start', { userId: bob.id });
    expect({ created, state: call.state }).toEqual({ created: true, state: 'ringing' });
    expect(connection.ticket).toEqual(expect.any(String));
    await Promise.all([phone, laptop].map((each) => each.waitFor('call:ringing')));
    const accepted = await ask(phone, 'call:accept', { callId: call.id });
    expect(accepted.call.state).toBe('active');
    const { call: seen } = await when(laptop, ({ state }) => state === 'active');
    expect(stateOf(seen, bob)).toBe('joined');
    expect(await laptop.ask('call:accept', { callId: call.id })).toMatchObject({
      error: { code: 'answered_elsewhere' },
    });
    const reports = [{ userId: bob.id, roundTripMs: 40 }];
    expect(await ask(a, 'call:report_quality', { callId: call.id, reports })).toEqual({});
    const left = await ask(a, 'call:leave', { callId: call.id });
    expect(left.call).toMatchObject({ state: 'ended', outcome: 'completed', endReason: 'hung_up' });
    await when(phone, ({ state }) => state === 'ended');
  });

  it('makes one call of two people who call each other', async () => {
    const { alice, bob } = await people('alice', 'bob');
    const [a, b] = [await device(alice), await device(bob)];
    const started = await Promise.all([
      ask(a, 'call:start', { userId: bob.id }),
      ask(b, 'call:start', { userId: alice.id }),
    ]);
    expect(new Set(started.map(({ call }) => call.id)).size).toBe(1);
    expect(started.map(({ created }) => created).sort()).toEqual([false, true]);
    const { body } = await server.api.get(`/api/video-calls/${started[0].call.id}`, alice.token);
    expect(body.call.state).toBe('active');
  });

  it('is missed after 30 seconds, declined, cancelled, or busy', async () => {
    const { alice, bob, carol } = await people('alice', 'bob', 'carol');
    const [a, b, c] = [await device(alice), await device(bob), await device(carol)];
    const missed = await ask(a, 'call:start', { userId: bob.id });
    await clock.advance(29_000);
    expect((await server.api.get(`/api/video-calls/${missed.call.id}`, alice.token)).body.call.state).toBe(
      'ringing',
    );
    await clock.advance(1000);
    expect((await when(a, ({ state }) => state === 'ended')).call).toMatchObject({ outcome: 'missed' });

    const declined = await ask(a, 'call:start', { userId: bob.id });
    expect((await ask(b, 'call:decline', { callId: declined.call.id })).call.outcome).toBe('declined');
    const cancelled = await ask(a, 'call:start', { userId: bob.id });
    expect((await ask(a, 'call:cancel', { callId: cancelled.call.id })).call.outcome).toBe('cancelled');
    const talk = await ask(a, 'call:start', { userId: bob.id });
    await ask(b, 'call:accept', { callId: talk.call.id });
    const busy = await ask(c, 'call:start', { userId: bob.id });
    expect(busy).toMatchObject({ call: { state: 'ended', outcome: 'busy' }, connection: null });
    expect(await a.ask('call:start', { userId: carol.id })).toMatchObject({
      error: { code: 'already_in_call' },
    });
  });

  it('keeps a participant for 15 seconds after their connection is lost', async () => {
    const { alice, bob, a, b, callId } = await talking();
    const isLost = (call: Call) =>
      call.participants.some(
        ({ userId, state, connected }) => userId === bob.id && state === 'joined' && !connected,
      );
    b.close();
    await when(a, isLost);
    await clock.advance(14_000);
    const again = await device(bob);
    const { call } = await ask(again, 'call:join', { callId });
    await clock.advance(2000);
    const { body } = await server.api.get(`/api/video-calls/${callId}`, alice.token);
    expect(body.call).toEqual(call);
    again.close();
    await when(a, (seen) => seen.version > call.version && isLost(seen));
    await clock.advance(15_000);
    expect((await when(a, ({ state }) => state === 'ended')).call).toMatchObject({
      outcome: 'completed',
      endReason: 'connection_lost',
    });
  });

  it('moves to another device only on purpose, and repeats its answer to one that resumes', async () => {
    const { bob, a, b, callId } = await talking();
    const first = await ask(b, 'call:join', { callId });
    const { peerId } = first.connection;
    expect((await ask(b, 'call:join', { callId, peerId })).connection.peerId).toBe(peerId);
    const other = await device(bob);
    const moved = await ask(other, 'call:join', { callId });
    expect(moved.connection.peerId).not.toBe(peerId);
    // The first device has missed this, because it was disconnected.
    expect(await b.ask('call:join', { callId, peerId })).toMatchObject({
      error: { code: 'answered_elsewhere' },
    });
    const { body } = await server.api.get(`/api/video-calls/${callId}`, bob.token);
    expect(body.call).toEqual(moved.call);

    // The answer with a new peer id may be lost, and asked for again with the earlier one.
    other.close();
    await when(a, ({ participants }) =>
      participants.some(({ connected, state }) => state === 'joined' && !connected),
    );
    await clock.advance(1000);
    const again = await ask(b, 'call:join', { callId });
    expect(await ask(b, 'call:join', { callId, peerId })).toMatchObject({
      connection: { peerId: again.connection.peerId },
    });
  });

  it('ends a call of two when one blocks the other, before the block returns', async () => {
    const { alice, bob, a, callId } = await talking();
    const blocked = await server.api.call('put', `/api/users/me/blocks/${alice.id}`, { token: bob.token });
    expect(blocked.status).toBe(204);
    const { body } = await server.api.get('/api/video-calls/active', bob.token);
    expect(body.calls).toEqual([]);
    await a.waitFor('call:removed', (removed) => removed.callId === callId);
    expect(await a.ask('call:start', { userId: bob.id })).toMatchObject({
      error: { code: 'direct_messages_closed' },
    });
  });

  it('is joined by readers of a channel, until they are removed from the group', async () => {
    const { alice, bob, carol } = await people('alice', 'bob', 'carol');
    const { groupId, channelId } = await createRoom(server.api, alice, [bob]);
    const [a, b, c] = [await device(alice), await device(bob), await device(carol)];
    const { call } = await ask(a, 'call:start', { channelId });
    expect(call.state).toBe('active');
    await ask(b, 'call:join', { callId: call.id });
    expect(await a.ask('call:start', { userId: bob.id })).toMatchObject({
      error: { code: 'already_in_call' },
    });
    expect(await c.ask('call:join', { callId: call.id })).toMatchObject({ error: { code: 'not_found' } });
    await server.api.delete(`/api/groups/${groupId}/members/${bob.id}`, alice.token);
    const { body } = await server.api.get(`/api/video-calls/${call.id}`, alice.token);
    expect(stateOf(body.call, bob)).toBe('removed');
    await b.waitFor('call:removed', ({ callId }) => callId === call.id);
    expect(await b.ask('call:join', { callId: call.id })).toMatchObject({ error: { code: 'not_found' } });
  });

  it('takes a call of two to a new conversation when one of them calls a third person', async () => {
    const { bob, a, b, callId } = await talking();
    const { carol } = await people('carol');
    const c = await device(carol);
    const before = (await ask(a, 'call:set_media', { callId, hand: true })).call;
    const { call } = await ask(b, 'call:invite', { callId, userIds: [carol.id] });
    expect(call.channelId).not.toBe(before.channelId);
    expect(stateOf(call, bob)).toBe('joined');
    await c.waitFor('call:ringing', ({ call: { id } }) => id === callId);
    await when(a, ({ channelId }) => channelId === call.channelId);
    const joined = await ask(c, 'call:accept', { callId });
    expect(joined.call.participants.map(({ state }: { state: string }) => state)).toEqual([
      'joined',
      'joined',
      'joined',
    ]);
    await ask(a, 'call:leave', { callId });
    const { body } = await server.api.get(`/api/video-calls/${callId}`, carol.token);
    expect(body.call.state).toBe('active');
  });
});
