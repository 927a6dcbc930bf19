import { ObjectId, type CommandStartedEvent } from 'mongodb';
import type { Call } from '../../../models/video-call.model';
import { MAX_EXAMINED } from '../../../services/calls/call-history';
import { ManualClock } from '../../fixtures/manual-clock';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

const CALLS = '/api/video-calls';

let server: TestServer;
const clock = new ManualClock();
let ada: Person;
let bruno: Person;
let chiara: Person;

beforeAll(async () => {
  server = await startTestServer({}, { clock, monitorCommands: true });
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
    const call = await act(ada, '', { channelId, userIds: [bruno.id] });
    expect(await idsOf(bruno)).toEqual([call.id]);
    const overview = async () => (await server.api.get('/api/client/overview', bruno.token)).body.activeCalls;
    expect(await overview()).toMatchObject([{ id: call.id }]);
    await server.api.delete(`/api/groups/${groupId}/members/${bruno.id}`, ada.token);
    expect([await idsOf(bruno), await overview()]).toEqual([[], []]);
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
      if (command['find'] === 'video_calls') limits.push(Number(command['limit']));
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
