import { ObjectId } from 'mongodb';
import { refused } from '../../fixtures/accounts';
import type { Api } from '../../fixtures/api';
import { setAvatar } from '../../fixtures/images';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';
import { HourlyCounts } from '../../../services/admin/hourly-counts';

let server: TestServer;
let api: Api;
let root: Person;
let channelId: string;
let first: TestServer;

beforeAll(async () => {
  first = server = await startTestServer();
  ({ api } = server);
  root = await signUp(api, 'root');
  ({ channelId } = await createRoom(api, root));
});
afterAll(() => first.close());

const HOUR = 3600_000;
const hourOf = (time: number) => new Date(Math.floor(time / HOUR) * HOUR);
const collections = () => server.context.database.collections;
const statistics = async (query = {}) => {
  const { status, body } = await api.get('/api/admin/stats', root.token, query);
  expect(status).toBe(200);
  return body.statistics;
};
let counter = 0;
const send = (token = root.token) =>
  api.post(`/api/channels/${channelId}/messages`, { clientMessageId: `m${++counter}`, body: 'x' }, token);

/** Inserts messages as if they had been sent at a given time. */
async function sendAt(time: Date, count: number): Promise<void> {
  const sent = await collections().messages.findOne({});
  const [last] = await collections().messages.find().sort({ seq: -1 }).limit(1).toArray();
  await collections().messages.insertMany(
    Array.from({ length: count }, (_, index) => ({
      ...sent!,
      _id: new ObjectId(
        ObjectId.createFromTime(time.getTime() / 1000)
          .toHexString()
          .slice(0, 8) + new ObjectId().toHexString().slice(8),
      ),
      clientMessageId: `at${++counter}`,
      seq: last!.seq + index + 1,
      revision: last!.revision + index + 1,
      createdAt: time,
    })),
  );
}

/** Counts the completed hours, as a process does when it starts. */
async function countNow(): Promise<void> {
  await new HourlyCounts(collections(), server.context.database.transactions).advance();
}

describe('the statistics of the server', () => {
  it('count users, groups and messages, by state where relevant, and who is online', async () => {
    const { ada, bruno } = await signUpAll(api, 'ada', 'bruno');
    await api.post(`/api/admin/users/${ada.id}/suspend`, { reason: 'x' }, root.token);
    await api.post(`/api/admin/users/${bruno.id}/ban`, { reason: 'x' }, root.token);
    await setAvatar(api, root);
    await send();
    const sockets = [await connect(server.url, root.token), await connect(server.url, root.token)];
    const numbers = await statistics();
    expect(numbers).toMatchObject({
      users: { active: 1, suspended: 1, banned: 1, deactivated: 0, deleted: 0 },
      groups: 1,
      channels: 1,
      messages: 1,
      storage: { files: 2 },
      online: { users: 1, connections: 2 },
    });
    expect(numbers.storage.bytes).toBeGreaterThan(100);
    for (const socket of sockets) socket.close();
    await until(async () => (await statistics()).online.connections === 0);
    // A user whose suspension has expired counts as active.
    await collections().users.updateOne(
      { _id: new ObjectId(ada.id) },
      { $set: { 'suspension.until': new Date() } },
    );
    expect((await statistics()).users).toMatchObject({ active: 2, suspended: 0 });
  });

  it('include what was created in the current hour and day', async () => {
    const before = (await statistics({ points: 1 })).series.points[0];
    await send();
    const { step, points, countedTo } = (await statistics({ points: 24 })).series;
    expect([step, points.length]).toEqual(['hour', 24]);
    expect(points.at(-1)).toMatchObject({ from: hourOf(Date.now()).toISOString() });
    expect(points.at(-1).messages).toBe(before.messages + 1);
    expect(Date.now() - Date.parse(countedTo)).toBeLessThan(60_000);
    const days = (await statistics({ step: 'day', points: 2 })).series.points;
    expect(days).toHaveLength(2);
    expect(days[1].from).toMatch(/T00:00:00.000Z$/);
    expect(days[0].users + days[1].users).toBe(await collections().users.countDocuments());
  });

  it('are for super admins, and are limited in time', async () => {
    const { token } = await signUp(api);
    expect(await api.get('/api/admin/stats', token)).toMatchObject(refused(403, 'forbidden'));
    for (const query of [{ points: 745 }, { step: 'day', points: 367 }, { points: 0 }]) {
      expect(await api.get('/api/admin/stats', root.token, query)).toMatchObject(
        refused(400, 'validation_failed'),
      );
    }
  });
});

describe('the hourly counts', () => {
  it('count each message once, however many nodes count at the same time', async () => {
    const earlier = await startTestServer();
    try {
      server = earlier;
      ({ api } = server);
      root = await signUp(api, 'root');
      ({ channelId } = await createRoom(api, root));
      await send();
      const [two, nine] = [hourOf(Date.now() - 2 * HOUR), hourOf(Date.now() - 9 * HOUR)];
      await collections().hourlyCountsHead.deleteMany({ _id: 'hourly_counts' });
      await collections().hourlyCounts.deleteMany({});
      await sendAt(nine, 3);
      await sendAt(new Date(nine.getTime() + HOUR - 1000), 4);
      await sendAt(two, 5);
      await Promise.all([countNow(), countNow(), countNow()]);
      expect(await collections().hourlyCounts.find().sort({ _id: 1 }).toArray()).toEqual([
        { _id: nine, users: 0, groups: 0, channels: 0, messages: 7, videoCalls: 0 },
        { _id: two, users: 0, groups: 0, channels: 0, messages: 5, videoCalls: 0 },
      ]);
      // An older version did not count calls.
      await collections().hourlyCounts.updateOne({ _id: nine }, { $unset: { videoCalls: '' } });
      const { points } = (await statistics({ points: 12 })).series;
      expect(new Set(points.map((point: any) => point.videoCalls))).toEqual(new Set([0]));
      expect(points.map((point: any) => point.messages).filter((count: number) => count > 0)).toEqual([
        7, 5, 1,
      ]);
      await countNow();
      const sum = (await collections().hourlyCounts.find().toArray()).reduce(
        (all, one) => all + one.messages,
        0,
      );
      expect(sum).toBe(12);
    } finally {
      await earlier.close();
    }
  });
});
