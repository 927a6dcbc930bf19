import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { createContext, type Context } from '../../../context';
import type { StoredMessageCall } from '../../../models/messages/call-message.model';
import type { Caller } from '../../../models/identity/session.model';
import type { Message } from '../../../models/message.model';
import type { Notification } from '../../../models/notifications/notification.model';
import { CallStore } from '../../../services/calls/call-store';
import { ManualClock } from '../../fixtures/manual-clock';
import { sendMessage } from '../../fixtures/messages';
import { fetchNdjson } from '../../fixtures/ndjson';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient, type Client } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

const clock = new ManualClock();
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({}, { clock });
  // The first account is the super admin.
  await signUp(server.api);
});
afterAll(() => server.close());

interface User extends Person {
  client: Client;
}

const collections = () => server.context.database.collections;

async function user(name: string): Promise<User> {
  const person = await signUp(server.api, name);
  return { ...person, client: await connectClient(server.url, person) };
}
const pair = async () => [await user('alice'), await user('bob')] as const;

async function ask({ client }: User, event: any, payload: unknown): Promise<any> {
  const ack: any = await client.ask(event, payload);
  if (!ack.ok) throw new Error(ack.error.code);
  return ack.data;
}

const start = async (by: User, input: object): Promise<{ id: string; channelId: string }> =>
  (await ask(by, 'call:start', input)).call;

/** Waits until everything is recorded of a call. */
const recorded = (callId: string) =>
  until(async () => {
    const call = await collections().videoCalls.findOne({ _id: new ObjectId(callId) });
    return call?.recordDue === undefined;
  });

async function historyOf(channelId: string, { token }: Person): Promise<Message[]> {
  return (await server.api.get(`/api/channels/${channelId}/messages`, token)).body.messages;
}
const messagesOf = async (callId: string, channelId: string, reader: Person) =>
  (await historyOf(channelId, reader)).filter(({ call }) => call?.callId === callId);

async function missedBy({ token }: Person): Promise<Notification[]> {
  const { body } = await server.api.get('/api/client/notifications', token);
  return body.notifications.filter(({ kind }: Notification) => kind === 'call.missed');
}

const unreadOf = async (channelId: string, { token }: Person): Promise<number> =>
  (await server.api.get(`/api/channels/${channelId}/summary`, token)).body.summary.unread;

const block = (by: Person, { id }: Person) =>
  server.api.call('put', `/api/users/me/blocks/${id}`, { token: by.token });

describe('the message about a call', () => {
  it('is written when the call starts, and updated in place until it has ended', async () => {
    const [alice, bob] = await pair();
    const { id, channelId } = await start(alice, { userId: bob.id, media: 'audio' });
    const { message } = await bob.client.waitFor('message:created', (one) => one.message.call?.callId === id);
    expect(message).toMatchObject({
      channelId,
      senderId: alice.id,
      body: '',
      call: {
        media: 'audio',
        state: 'ringing',
        outcome: null,
        answeredAt: null,
        durationMs: 0,
        participantIds: [alice.id],
        missedIds: [],
      },
    });
    await ask(bob, 'call:accept', { callId: id });
    const active = await bob.client.waitFor('message:updated', (one) => one.message.call?.state === 'active');
    expect(active.message).toMatchObject({ id: message.id, seq: message.seq });
    expect(active.message.revision).toBeGreaterThan(message.revision);
    await clock.advance(60_000);
    await ask(alice, 'call:leave', { callId: id });
    await bob.client.waitFor('message:updated', (one) => one.message.call?.state === 'ended');
    const [last, ...others] = await messagesOf(id, channelId, bob);
    expect(others).toEqual([]);
    expect(last!.call).toMatchObject({
      outcome: 'completed',
      durationMs: 60_000,
      participantIds: [alice.id, bob.id],
      missedIds: [],
    });
    const since = { [channelId]: message.revision };
    const synced = await ask(bob, 'sync', { since, named: true });
    expect(synced.channels[0].changes).toEqual([
      { kind: 'message', revision: last!.revision, message: last },
    ]);
  });

  it('does not change when a participant mutes, or connects again', async () => {
    const [alice, bob] = await pair();
    const { id, channelId } = await start(alice, { userId: bob.id });
    await ask(bob, 'call:accept', { callId: id });
    await recorded(id);
    const [before] = await messagesOf(id, channelId, bob);
    await ask(bob, 'call:set_media', { callId: id, audio: false, hand: true });
    await recorded(id);
    expect(await messagesOf(id, channelId, bob)).toEqual([before]);
    await ask(bob, 'call:leave', { callId: id });
  });

  it('is written beside a message of its sender that is refused, and does not delay one by slow mode', async () => {
    const [alice, bob] = await pair();
    const { channelId } = await createRoom(server.api, bob, [alice]);
    const { messages } = server.context.services;
    /** Sends both at the same moment, so that they are in one batch. */
    const sendBoth = async (order: 'call first' | 'message first') => {
      const own = { clientMessageId: randomUUID(), body: 'Hello' };
      const caller = await callerOf(alice);
      const sending = () => messages.send(caller, channelId, own);
      const calling = () =>
        messages.sendCall(new ObjectId(channelId), new ObjectId(alice.id), someCall(alice));
      const both = order === 'call first' ? [calling(), sending()] : [sending(), calling()];
      return (await Promise.allSettled(both)).map(({ status }) => status);
    };
    await server.api.patch(`/api/channels/${channelId}`, { slowModeSeconds: 3600 }, bob.token);
    expect(await sendBoth('call first')).toEqual(['fulfilled', 'fulfilled']);
    expect(await sendBoth('message first')).toEqual(['rejected', 'fulfilled']);
    await server.api.patch(`/api/channels/${channelId}`, { slowModeSeconds: 0 }, bob.token);
    const muted = await server.api.call('put', `/api/channels/${channelId}/restrictions/${alice.id}`, {
      token: bob.token,
      body: { kind: 'muted' },
    });
    expect(muted.status).toBe(200);
    expect(await sendBoth('call first')).toEqual(['fulfilled', 'rejected']);
  });

  it('is updated whatever the user may do since, and neither waits for slow mode nor causes it', async () => {
    const [alice, bob] = await pair();
    const { channelId } = await createRoom(server.api, bob, [alice]);
    const slow = { slowModeSeconds: 3600 };
    expect((await server.api.patch(`/api/channels/${channelId}`, slow, bob.token)).status).toBe(200);
    await sendMessage(server.api, channelId, alice);
    const first = await start(alice, { channelId });
    await recorded(first.id);
    await ask(alice, 'call:leave', { callId: first.id });
    const carol = await signUp(server.api);
    await server.api.post(
      `/api/groups/${(await channelOf(channelId)).groupId!.toHexString()}/members`,
      { userId: carol.id },
      bob.token,
    );
    const second = await start({ ...carol, client: await connectClient(server.url, carol) }, { channelId });
    await recorded(second.id);
    await sendMessage(server.api, channelId, carol);
    const announcements = { announcementOnly: true };
    expect((await server.api.patch(`/api/channels/${channelId}`, announcements, bob.token)).status).toBe(200);
    await ask(bob, 'call:end', { callId: second.id });
    await recorded(second.id);
    expect((await messagesOf(second.id, channelId, bob))[0]!.call!.state).toBe('ended');
  });

  it('cannot be edited, forwarded or imitated, and stays deleted', async () => {
    const [alice, bob] = await pair();
    const { id, channelId } = await start(alice, { userId: bob.id });
    await recorded(id);
    const [message] = await messagesOf(id, channelId, alice);
    const edited = await server.api.patch(`/api/messages/${message!.id}`, { body: 'Hello' }, alice.token);
    expect([edited.status, edited.body.error.code]).toEqual([403, 'forbidden']);
    const input = { channelId, clientMessageId: randomUUID() };
    const forwarded = await server.api.post(`/api/messages/${message!.id}/forward`, input, bob.token);
    expect([forwarded.status, forwarded.body.error.code]).toEqual([403, 'forbidden']);
    const imitation = { clientMessageId: message!.clientMessageId, body: 'Hello' };
    const imitated = await server.api.post(`/api/channels/${channelId}/messages`, imitation, alice.token);
    expect(imitated.body.error.code).toBe('validation_failed');

    const reply = await sendMessage(server.api, channelId, bob, 'I am late', { threadId: message!.id });
    expect(reply.threadId).toBe(message!.id);
    const url = `/api/messages/${message!.id}/reactions/${encodeURIComponent('👍')}`;
    expect((await server.api.call('put', url, { token: bob.token })).status).toBe(200);
    expect((await server.api.delete(`/api/messages/${message!.id}`, bob.token)).status).toBe(403);
    const deleted = await server.api.delete(`/api/messages/${message!.id}`, alice.token);
    expect(deleted.status).toBe(200);
    await ask(bob, 'call:accept', { callId: id });
    await ask(bob, 'call:leave', { callId: id });
    await recorded(id);
    const now = (await historyOf(channelId, bob)).find((one) => one.id === message!.id)!;
    expect([now.call, now.revision > deleted.body.message.revision]).toEqual([null, false]);
    expect(await messagesOf(id, channelId, bob)).toEqual([]);
  });

  it('is not indexed for search, and is in exports', async () => {
    const [alice, bob] = await pair();
    const { id } = await start(alice, { userId: bob.id });
    await recorded(id);
    const stored = await collections().messages.findOne({ 'call.callId': new ObjectId(id) });
    expect(stored!.search).toBeNull();
    const { records } = await fetchNdjson(server, '/api/users/me/export', alice.token);
    const call = expect.objectContaining({ callId: id });
    expect(records).toContainEqual({ kind: 'message', data: expect.objectContaining({ call }) });
    await ask(alice, 'call:cancel', { callId: id });
  });

  it('counts as unread for those who were not in the call, and for those who had not read what is before it', async () => {
    const [alice, bob] = await pair();
    const carol = await user('carol');
    const { channelId } = await createRoom(server.api, alice, [bob, carol]);
    const talk = async () => {
      const { id } = await start(alice, { channelId });
      await ask(bob, 'call:join', { callId: id });
      await ask(alice, 'call:end', { callId: id });
      await recorded(id);
    };
    await talk();
    const unread = () => Promise.all([alice, bob, carol].map((person) => unreadOf(channelId, person)));
    expect(await unread()).toEqual([0, 0, 1]);
    const { read } = await bob.client.waitFor('channel:read', (one) => one.read.channelId === channelId);
    expect(read).toMatchObject({ readSeq: 1, unread: 0 });
    await sendMessage(server.api, channelId, carol);
    await talk();
    expect(await unread()).toEqual([0, 2, 1]);
  });

  it('is in both conversations when a call of two is moved to a larger one', async () => {
    const [alice, bob] = await pair();
    const carol = await user('carol');
    const call = await start(alice, { userId: bob.id });
    await ask(bob, 'call:accept', { callId: call.id });
    const moved = (await ask(alice, 'call:invite', { callId: call.id, userIds: [carol.id] })).call;
    expect(moved.channelId).not.toBe(call.channelId);
    await ask(carol, 'call:decline', { callId: call.id });
    await ask(alice, 'call:end', { callId: call.id });
    await recorded(call.id);
    for (const channelId of [call.channelId, moved.channelId]) {
      const found = await messagesOf(call.id, channelId, bob);
      expect(found.map(({ call: shown }) => shown!.state)).toEqual(['ended']);
    }
  });
});

describe('a missed call', () => {
  it('is notified once, to those who did not answer or were busy', async () => {
    const [alice, bob] = await pair();
    const [carol, dave, erin] = [await user('carol'), await user('dave'), await user('erin')];
    const { channelId } = await createRoom(server.api, alice, [bob, carol, dave]);
    const other = await start(dave, { userId: erin.id });
    const { id } = await start(alice, { channelId, userIds: [bob.id, carol.id, dave.id] });
    await ask(carol, 'call:decline', { callId: id });
    await clock.advance(30_000);
    await recorded(id);
    const { notification, silent } = await bob.client.waitFor(
      'notification:created',
      (one) => one.notification.kind === 'call.missed',
    );
    const [message] = await messagesOf(id, channelId, bob);
    expect(message!.call).toMatchObject({ state: 'ended', outcome: 'missed' });
    expect(message!.call!.missedIds.sort()).toEqual([bob.id, dave.id].sort());
    expect(silent).toBe(false);
    expect(await missedBy(bob)).toEqual([notification]);
    expect(notification).toMatchObject({ actorId: alice.id, channelId, messageId: message!.id });
    expect(await missedBy(dave)).toHaveLength(1);
    expect([await missedBy(carol), await missedBy(alice)]).toEqual([[], []]);
    await recorded(other.id);
  });

  it('replaces the unread notification of the same conversation', async () => {
    const [alice, bob] = await pair();
    const call = async () => {
      const { id } = await start(alice, { userId: bob.id });
      await ask(alice, 'call:cancel', { callId: id });
      await recorded(id);
      return (await missedBy(bob)).map((one) => one.id);
    };
    const [first] = await call();
    const afterSecond = await call();
    expect(afterSecond).toHaveLength(1);
    expect(afterSecond).not.toContain(first);
    await bob.client.waitFor('notification:deleted', (one) => one.notificationId === first);
    await server.api.post(`/api/client/notifications/${afterSecond[0]}/read`, undefined, bob.token);
    expect(await call()).toHaveLength(2);
  });

  it('is not notified to who has blocked the caller, or turned notifications off', async () => {
    const [alice, bob] = await pair();
    const [carol, dave] = [await user('carol'), await user('dave')];
    const { channelId } = await createRoom(server.api, alice, [bob, carol, dave]);
    const setting = { notificationLevel: 'none' };
    const off = await server.api.call('put', `/api/channels/${channelId}/notification-setting`, {
      token: carol.token,
      body: setting,
    });
    expect(off.status).toBe(200);
    const { id } = await start(alice, { channelId, userIds: [bob.id, carol.id, dave.id] });
    expect((await block(bob, alice)).status).toBe(204);
    await clock.advance(30_000);
    await recorded(id);
    expect(await missedBy(dave)).toHaveLength(1);
    expect([await missedBy(bob), await missedBy(carol)]).toEqual([[], []]);
  });

  it('rings silently for users who have turned on do not disturb', async () => {
    const [alice, bob] = await pair();
    const carol = await user('carol');
    const { channelId } = await createRoom(server.api, alice, [bob, carol]);
    const doNotDisturbUntil = new Date(Date.now() + 3_600_000).toISOString();
    const set = await server.api.patch('/api/client/preferences', { doNotDisturbUntil }, bob.token);
    expect(set.status).toBe(200);
    const { id } = await start(alice, { channelId, userIds: [bob.id, carol.id] });
    const silent = async ({ client }: User) =>
      (await client.waitFor('call:ringing', ({ call }) => call.id === id)).silent;
    expect(await Promise.all([bob, carol].map(silent))).toEqual([true, false]);
    await ask(alice, 'call:end', { callId: id });
  });
});

describe('a node that stops between two steps of recording a call', () => {
  /** A second node, which records only what its job finds. */
  let other: Context;
  let otherClock: ManualClock;
  beforeEach(async () => {
    otherClock = new ManualClock();
    other = await createContext(server.context.config, {
      database: server.context.database,
      clock: otherClock,
    });
    otherClock.waitFor(() => other.jobs.status().some(({ running }) => running));
  });
  afterEach(() => other.close());

  /** A call that has ended as missed, of which a node has recorded nothing. */
  async function unrecorded() {
    const [alice, bob] = await pair();
    const { body } = await server.api.post('/api/direct-messages', { userIds: [bob.id] }, alice.token);
    const channelId: string = body.conversation.channel.id;
    // The services of a context that is not started record nothing.
    const { videoCalls } = other.services;
    const caller = await callerOf(alice);
    const { call } = await videoCalls.start(caller, { channelId, media: 'video' });
    await videoCalls.cancel(caller, call.id);
    return { alice, bob, channelId, id: call.id };
  }

  async function expectRecordedOnce({ bob, channelId, id }: Awaited<ReturnType<typeof unrecorded>>) {
    await recorded(id);
    const found = await messagesOf(id, channelId, bob);
    expect(found.map(({ call }) => call!.outcome)).toEqual(['cancelled']);
    expect(await missedBy(bob)).toHaveLength(1);
    const stored = await collections().videoCalls.findOne({ _id: new ObjectId(id) });
    expect([
      stored!.messageId!.toHexString(),
      stored!.participants.some(({ notifyDue }) => notifyDue),
    ]).toEqual([found[0]!.id, false]);
  }

  it('before the message: the job of another node writes it', async () => {
    const call = await unrecorded();
    expect(await messagesOf(call.id, call.channelId, call.bob)).toEqual([]);
    await clock.advance(5000);
    await expectRecordedOnce(call);
  });

  it('after the message was written: it is neither written twice nor left as it was', async () => {
    const call = await unrecorded();
    const stored = (await collections().videoCalls.findOne({ _id: new ObjectId(call.id) }))!;
    await server.context.services.messages.sendCall(stored.channelId, stored.startedBy, {
      ...someCall(call.alice),
      callId: stored._id,
    });
    await clock.advance(5000);
    await expectRecordedOnce(call);
  });

  it('after all of it, while another node changes the call: the change begins again', async () => {
    const { id } = await unrecorded();
    const { bus, services, database } = server.context;
    const { collections: all, transactions } = database;
    const store = new CallStore({ ...services, collections: all, transactions, bus, clock });
    const call = await store.get(new ObjectId(id));
    expect(await store.setRecorded(call, new ObjectId())).toBe(true);
    // A writer that has read the call before.
    expect(await store.setRecorded(call, new ObjectId())).toBe(false);
    const { version, recordDue } = await store.get(call._id);
    expect([version, recordDue]).toEqual([call.version, undefined]);
  });

  it('while two nodes record the same call: everything happens once', async () => {
    await other.start();
    for (let round = 0; round < 3; round++) {
      const call = await unrecorded();
      await Promise.all([clock.advance(5000), otherClock.advance(5000)]);
      await expectRecordedOnce(call);
    }
  });
});

describe('deletion', () => {
  it('of a channel removes its calls, also one that was open', async () => {
    const [alice, bob] = await pair();
    const { groupId, channelId } = await createRoom(server.api, alice, [bob]);
    const { id } = await start(alice, { channelId });
    await ask(alice, 'call:leave', { callId: id });
    const open = await start(alice, { channelId, userIds: [bob.id] });
    const reports = [{ userId: alice.id, jitterMs: 1 }];
    await ask(bob, 'call:accept', { callId: open.id });
    await ask(bob, 'call:report_quality', { callId: open.id, reports });
    expect((await server.api.delete(`/api/groups/${groupId}`, alice.token)).status).toBe(204);
    const channel = new ObjectId(channelId);
    const { videoCalls, callQuality } = collections();
    for (const calls of [videoCalls, callQuality]) {
      await until(async () => (await calls.countDocuments({ channelId: channel })) === 0);
    }
    expect(await missedBy(bob)).toEqual([]);
  });

  it('of a channel removes a call that ends after it', async () => {
    const [alice, bob] = await pair();
    const { id } = await start(alice, { userId: bob.id });
    await ask(alice, 'call:cancel', { callId: id });
    await recorded(id);
    const { videoCalls } = collections();
    const call = (await videoCalls.findOne({ _id: new ObjectId(id) }))!;
    const _id = new ObjectId();
    await videoCalls.insertOne({ ...call, _id, channelId: new ObjectId(), messageId: null, recordDue: true });
    await clock.advance(5000);
    await until(async () => (await videoCalls.findOne({ _id })) === null);
  });

  it('of old messages removes the calls of that time, except one that is open', async () => {
    const [alice, bob] = await pair();
    const { channelId } = await createRoom(server.api, alice, [bob]);
    const { videoCalls } = collections();
    const age = async (callId: string) => {
      await recorded(callId);
      const { _id: _, ...call } = (await videoCalls.findOneAndDelete({ _id: new ObjectId(callId) }))!;
      const _id = ObjectId.createFromTime(Math.floor(Date.now() / 1000) - days++ * 86_400);
      await videoCalls.insertOne({ ...call, _id });
      return _id;
    };
    let days = 10;
    const ended = await start(alice, { channelId });
    await ask(alice, 'call:leave', { callId: ended.id });
    const old = await age(ended.id);
    const recent = await start(alice, { channelId });
    await ask(alice, 'call:leave', { callId: recent.id });
    await recorded(recent.id);
    const open = await age((await start(alice, { channelId })).id);
    const set = await server.api.call('put', `/api/channels/${channelId}/retention`, {
      token: alice.token,
      body: { days: 9 },
    });
    expect(set.status).toBe(200);
    await until(async () => (await videoCalls.findOne({ _id: old })) === null);
    const left = await videoCalls.find({ channelId: new ObjectId(channelId) }).toArray();
    expect(left.map(({ _id }) => _id.toHexString()).sort()).toEqual([recent.id, open.toHexString()].sort());
    await videoCalls.deleteOne({ _id: open });
  });
});

async function callerOf({ id }: Person): Promise<Caller> {
  const userId = new ObjectId(id);
  const session = (await collections().sessions.findOne({ userId }))!;
  return { userId, sessionId: session._id, role: 'client', address: '' };
}

/** What a message shows of a new call. */
function someCall({ id }: Person): StoredMessageCall {
  return {
    callId: new ObjectId(),
    media: 'video',
    state: 'ringing',
    outcome: null,
    startedAt: new Date(),
    answeredAt: null,
    durationMs: 0,
    participantIds: [new ObjectId(id)],
    missedIds: [],
  };
}

async function channelOf(channelId: string) {
  return (await collections().channels.findOne({ _id: new ObjectId(channelId) }))!;
}
