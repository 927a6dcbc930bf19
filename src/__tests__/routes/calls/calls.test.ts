import { ObjectId, type CommandStartedEvent } from 'mongodb';
import type { Call } from '../../../models/video-call.model';
import { MAX_EXAMINED } from '../../../services/calls/call-history';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

const CALLS = '/api/video-calls';

let server: TestServer;
const clock = new ManualClock();
let ada: Person;
let bruno: Person;
let chiara: Person;
/** A super admin. */
let root: Person;

beforeAll(async () => {
  server = await startTestServer({}, { clock, monitorCommands: true });
  root = await signUp(server.api, 'root');
});
beforeEach(async () => {
  ({ ada, bruno, chiara } = await signUpAll(server.api, 'ada', 'bruno', 'chiara'));
});
afterAll(() => server.close());

async function act(person: Person, path: string, body: object = {}): Promise<Call> {
  const answer = await server.api.post(`${CALLS}${path}`, body, person.token);
  expect([path, answer.status < 300]).toEqual([path, true]);
  return answer.body.call;
}

async function listOf(person: Person, query: Record<string, string | number> = {}) {
  const { status, body } = await server.api.get(CALLS, person.token, query);
  expect(status).toBe(200);
  return body as { calls: Call[]; nextCursor: string | null };
}

const idsOf = async (person: Person, query: Record<string, string | number> = {}) =>
  (await listOf(person, query)).calls.map(({ id }) => id);

/** Reads all pages. @returns the calls, and the number of pages. */
async function readAll(person: Person, query: Record<string, string | number>) {
  const ids: string[] = [];
  for (let pages = 1, cursor: string | null = null; ; pages++) {
    const page = await listOf(person, { ...query, ...(cursor !== null && { cursor }) });
    ids.push(...page.calls.map(({ id }) => id));
    cursor = page.nextCursor;
    if (cursor === null) return { ids, pages };
  }
}

describe('the history of calls', () => {
  it('lists calls with their outcome and duration, filtered and page by page', async () => {
    const talked = await act(ada, '', { userId: bruno.id });
    await act(bruno, `/${talked.id}/accept`);
    await clock.advance(9_000);
    await act(ada, `/${talked.id}/leave`);
    const cancelled = await act(ada, '', { userId: bruno.id });
    await act(ada, `/${cancelled.id}/cancel`);
    const declined = await act(bruno, '', { userId: ada.id });
    await act(ada, `/${declined.id}/decline`);
    const { channelId } = await createRoom(server.api, ada, [bruno, chiara]);
    const open = await act(chiara, '', { channelId });

    const all = await listOf(ada);
    expect(all.calls.map(({ id }) => id)).toEqual([declined.id, cancelled.id, talked.id]);
    const outcomes = all.calls.map(({ outcome, durationMs }) => [outcome, durationMs]);
    expect(outcomes).toEqual([
      ['declined', 0],
      ['cancelled', 0],
      ['completed', 9_000],
    ]);
    expect(all.calls[2]!.participants).toMatchObject([
      { userId: ada.id, state: 'left', durationMs: 9_000 },
      { userId: bruno.id, state: 'left', durationMs: 9_000 },
    ]);
    expect(await idsOf(ada, { outcome: 'declined' })).toEqual([declined.id]);
    expect(await idsOf(ada, { role: 'made' })).toEqual([cancelled.id, talked.id]);
    expect(await idsOf(bruno, { role: 'received' })).toEqual([cancelled.id, talked.id]);
    expect(await idsOf(bruno, { role: 'received', outcome: 'completed' })).toEqual([talked.id]);
    expect(await idsOf(bruno, { missed: 'true' })).toEqual([cancelled.id]);
    expect(await idsOf(ada, { missed: 'true' })).toEqual([]);
    // She was not in the call of the channel, but can read it.
    expect(await idsOf(ada, { channelId })).toEqual([open.id]);
    expect(await idsOf(ada, { channelId, role: 'made' })).toEqual([]);
    expect(await idsOf(chiara)).toEqual([open.id]);
    expect(await readAll(ada, { limit: 1 })).toEqual({
      ids: [declined.id, cancelled.id, talked.id],
      pages: 3,
    });
    await act(chiara, `/${open.id}/leave`);
  });

  it('shows nothing of a channel that the caller can no longer read', async () => {
    const { groupId, channelId } = await createRoom(server.api, ada, [bruno]);
    const call = await act(ada, '', { channelId });
    await act(bruno, `/${call.id}/join`);
    expect(await idsOf(bruno)).toEqual([call.id]);
    const overview = async () => (await server.api.get('/api/client/overview', bruno.token)).body.activeCalls;
    expect(await overview()).toMatchObject([{ id: call.id }]);
    const active = async () => (await server.api.get(`${CALLS}/active`, bruno.token)).body.calls;
    const seen = async () => [await idsOf(bruno), await active(), await overview()];
    const channel = `/api/channels/${channelId}`;
    const own = { token: ada.token };
    await server.api.call('put', `${channel}/restrictions/${bruno.id}`, { ...own, body: { kind: 'banned' } });
    expect(await seen()).toEqual([[], [], []]);
    await server.api.delete(`${channel}/restrictions/${bruno.id}`, ada.token);
    expect(await seen()).toMatchObject([[call.id], [{ id: call.id }], [{ id: call.id }]]);
    await server.api.patch(channel, { visibility: 'private' }, ada.token);
    expect(await seen()).toEqual([[], [], []]);
    await server.api.post(`${channel}/members`, { userId: bruno.id }, ada.token);
    expect(await seen()).toMatchObject([[call.id], [{ id: call.id }], [{ id: call.id }]]);
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    expect(await seen()).toEqual([[], [], []]);
    expect((await server.api.get(CALLS, bruno.token, { channelId })).status).toBe(404);
    expect(await idsOf(ada)).toEqual([call.id]);
    await act(ada, `/${call.id}/leave`);
  });

  it('reads a bounded number of calls for a page, however many the caller may not read', async () => {
    const { videoCalls } = server.context.database.collections;
    const first = await act(ada, '', { userId: bruno.id });
    await act(ada, `/${first.id}/cancel`);
    const original = (await videoCalls.findOne({ _id: new ObjectId(first.id) }))!;
    // Newer calls in channels that no longer exist.
    const unreadable = Array.from({ length: MAX_EXAMINED * 2 }, () => ({
      ...original,
      _id: new ObjectId(),
      channelId: new ObjectId(),
    }));
    await videoCalls.insertMany(unreadable);
    const last = await act(ada, '', { userId: bruno.id });
    await act(ada, `/${last.id}/cancel`);

    const { nextCursor } = await listOf(ada, { limit: 20 });
    expect(nextCursor).not.toBeNull();
    const limits: number[] = [];
    const note = ({ command }: CommandStartedEvent) => {
      // Background jobs read calls, too.
      const isOfUser = command['find'] === 'video_calls' && 'participants.userId' in command['filter'];
      if (isOfUser) limits.push(Number(command['limit']));
    };
    const { client } = server.context.database.db;
    client.on('commandStarted', note);
    await listOf(ada, { limit: 20 });
    client.off('commandStarted', note);
    expect(limits.reduce((sum, limit) => sum + limit, 0)).toBe(MAX_EXAMINED);
    const { ids, pages } = await readAll(ada, { limit: 20 });
    expect(ids).toEqual([last.id, first.id]);
    expect(pages).toBeLessThanOrEqual(4);
  });
});

describe('the quality of calls', () => {
  const report = (person: Person, { id }: Call, reports: object[]) =>
    server.api.post(`${CALLS}/${id}/quality`, { reports }, person.token);
  const qualityOf = async ({ id }: Call) =>
    (await server.api.get(`/api/admin/video-calls/${id}/quality`, root.token)).body.quality;

  it('is summed up for each pair of participants, for super admins', async () => {
    const call = await act(ada, '', { userId: bruno.id });
    expect(await report(ada, call, [{ userId: bruno.id, jitterMs: 1 }])).toMatchObject({ status: 400 });
    await act(bruno, `/${call.id}/accept`);
    const values = [
      { bitrateKbps: 900, packetLossPercent: 0.5, roundTripMs: 40 },
      { bitrateKbps: 300, packetLossPercent: 2.5 },
      { bitrateKbps: 600, packetLossPercent: 0, roundTripMs: 60 },
    ];
    for (const one of values) {
      expect((await report(ada, call, [{ userId: bruno.id, ...one }])).status).toBe(204);
    }
    expect((await report(bruno, call, [{ userId: ada.id, jitterMs: 3 }])).status).toBe(204);
    const quality = await qualityOf(call);
    expect(quality).toHaveLength(2);
    expect(quality.find(({ reporterId }: any) => reporterId === ada.id)).toMatchObject({
      userId: bruno.id,
      reports: 3,
      bitrateKbps: { average: 600, min: 300, max: 900, last: 600 },
      packetLossPercent: { average: 1, min: 0, max: 2.5, last: 0 },
      roundTripMs: { average: 50, min: 40, max: 60, last: 60 },
      jitterMs: null,
    });
    expect(quality.find(({ reporterId }: any) => reporterId === bruno.id)).toMatchObject({
      userId: ada.id,
      jitterMs: { average: 3, min: 3, max: 3, last: 3 },
    });

    // The last measurements arrive after the call, but not any time later, and only from people who were in it.
    await act(ada, `/${call.id}/leave`);
    expect((await report(ada, call, [{ userId: bruno.id, jitterMs: 9 }])).status).toBe(204);
    await clock.advance(61_000);
    const late = await report(ada, call, [{ userId: bruno.id, jitterMs: 9 }]);
    expect(late).toMatchObject({ status: 409, body: { error: { code: 'not_in_call' } } });
    expect(await report(chiara, call, [{ userId: bruno.id, jitterMs: 9 }])).toMatchObject({ status: 404 });
    expect((await qualityOf(call)).find(({ reporterId }: any) => reporterId === ada.id).reports).toBe(4);
  });

  it('is refused if it is about others, out of bounds, or about one user twice', async () => {
    const call = await act(ada, '', { userId: bruno.id });
    await act(bruno, `/${call.id}/accept`);
    const twice = [{ userId: bruno.id }, { userId: bruno.id }];
    const others = [ada.id, chiara.id].map((userId) => [{ userId, jitterMs: 1 }]);
    const invalid = [{ packetLossPercent: 101 }, { roundTripMs: -1 }, { bitrateKbps: '1' }, { other: 1 }];
    const inputs = [...others, ...invalid.map((one) => [{ userId: bruno.id, ...one }]), twice, []];
    for (const reports of inputs) expect((await report(ada, call, reports)).status).toBe(400);
    expect(await qualityOf(call)).toEqual([]);
    await act(ada, `/${call.id}/leave`);
  });
});

describe('the administration of calls', () => {
  it('lists open calls, and ends one with a reason in the audit log', async () => {
    const direct = await act(ada, '', { userId: bruno.id });
    const { groupId, channelId } = await createRoom(server.api, chiara);
    const inGroup = await act(chiara, '', { channelId });
    const listed = async (query: Record<string, string | number>) => {
      const { status, body } = await server.api.get('/api/admin/video-calls', root.token, query);
      expect(status).toBe(200);
      return [body.calls.map(({ id }: Call) => id), body.nextCursor];
    };
    expect(await listed({})).toEqual([[inGroup.id, direct.id], null]);
    expect(await listed({ limit: 1 })).toEqual([[inGroup.id], inGroup.id]);
    expect(await listed({ cursor: inGroup.id })).toEqual([[direct.id], null]);
    expect(await listed({ userId: bruno.id })).toEqual([[direct.id], null]);
    for (const query of [{ groupId }, { channelId }])
      expect(await listed(query)).toEqual([[inGroup.id], null]);

    const end = () =>
      server.api.post(`/api/admin/video-calls/${direct.id}/end`, { reason: 'A complaint' }, root.token);
    const ended = await end();
    expect(ended.body.call).toMatchObject({ state: 'ended', endReason: 'ended_by_admin' });
    expect((await end()).body).toEqual(ended.body);
    expect(await listed({})).toEqual([[inGroup.id], null]);
    const audited = await server.api.get('/api/admin/audit-log', root.token, { targetId: direct.id });
    const details = { channelId: direct.channelId, reason: 'A complaint' };
    expect(audited.body.entries).toMatchObject([{ action: 'call.ended', actorId: root.id, details }]);
    const { statistics } = (await server.api.get('/api/admin/stats', root.token)).body;
    expect(statistics.videoCalls.open).toBe(1);
    expect(statistics.series.points.at(-1).videoCalls).toBe(statistics.videoCalls.total);
    await act(chiara, `/${inGroup.id}/leave`);
  });
});
