import { ObjectId } from 'mongodb';
import type { Announcement } from '../../../models/operations/announcement.model';
import { refused } from '../../fixtures/accounts';
import { signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let admin: Person;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ admin, ada } = await signUpAll(server.api, 'admin', 'ada'));
});
afterAll(() => server.close());

const PATH = '/api/admin/announcements';
const announce = (body: object) => server.api.post(PATH, body, admin.token);
const end = (id: string) => server.api.delete(`${PATH}/${id}`, admin.token);
const current = async (): Promise<Announcement[]> =>
  (await server.api.get('/api/client/announcements', ada.token)).body.announcements;

it('is sent to all connected users and can be read until it is ended', async () => {
  const clients = [await connect(server.url, ada.token), await connect(server.url, admin.token)];
  const created = clients.map(
    ({ socket }) => new Promise((resolve) => socket.once('announcement:created', resolve)),
  );
  const { status, body } = await announce({ title: 'Soon', body: 'New\nthings', level: 'warning' });
  expect(status).toBe(201);
  expect(body.announcement).toMatchObject({
    title: 'Soon',
    body: 'New\nthings',
    level: 'warning',
    createdBy: admin.id,
    endsAt: null,
  });
  expect(await Promise.all(created)).toEqual([body, body]);
  expect(await current()).toEqual([body.announcement]);

  const ended = clients.map(
    ({ socket }) => new Promise((resolve) => socket.once('announcement:ended', resolve)),
  );
  const { id } = body.announcement;
  expect((await end(id)).status).toBe(204);
  expect(await Promise.all(ended)).toEqual([{ announcementId: id }, { announcementId: id }]);
  expect(await current()).toEqual([]);
  const listed = (await server.api.get(PATH, admin.token)).body.announcements[0];
  expect(listed).toMatchObject({ id, endsAt: expect.any(String) });

  // Ending it again changes neither its end nor the log.
  expect((await end(id)).status).toBe(204);
  expect((await server.api.get(PATH, admin.token)).body.announcements[0]).toEqual(listed);
  const log = await server.api.get('/api/admin/audit-log', admin.token, { targetId: id });
  expect(log.body.entries.map(({ action }: { action: string }) => action)).toEqual([
    'announcement.ended',
    'announcement.created',
  ]);
  for (const client of clients) client.close();
});

it('ends when it expires', async () => {
  const endsAt = new Date(Date.now() + 3600_000).toISOString();
  const { announcement } = (await announce({ body: 'An hour', level: 'info', endsAt })).body;
  expect(await current()).toEqual([announcement]);
  const { announcements } = server.context.database.collections;
  await announcements.updateOne({ _id: new ObjectId(announcement.id) }, { $set: { endsAt: new Date() } });
  expect(await current()).toEqual([]);
});

it('are listed newest first, with pages of earlier ones', async () => {
  const ids: string[] = [];
  for (const body of ['one', 'two', 'three']) {
    ids.unshift((await announce({ body, level: 'critical' })).body.announcement.id);
  }
  expect((await current()).map(({ id }) => id)).toEqual(ids);
  const first = (await server.api.get(PATH, admin.token, { limit: 2 })).body;
  const second = (await server.api.get(PATH, admin.token, { limit: 2, cursor: first.nextCursor })).body;
  const listed = [...first.announcements, ...second.announcements].map(({ id }: Announcement) => id);
  expect(listed.slice(0, 3)).toEqual(ids);
  await Promise.all(ids.map(end));
  expect(await current()).toEqual([]);
});

it.each([
  { level: 'info' },
  { body: ' ', level: 'info' },
  { body: 'x', level: 'loud' },
  { body: 'x', level: 'info', endsAt: '2020-01-01T00:00:00Z' },
  { body: 'x'.repeat(4001), level: 'info' },
])('refuses %j', async (body) => {
  expect(await announce(body)).toMatchObject(refused(400, 'validation_failed'));
  expect(await current()).toEqual([]);
});

it('cannot be ended when none is active', async () => {
  expect(await end('0'.repeat(24))).toMatchObject(refused(404, 'not_found'));
});
