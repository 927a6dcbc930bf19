import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ObjectId, type Db, type Document } from 'mongodb';
import { migrationStatus } from '../../db/migrations/status';
import { connectDatabase, type Connection } from '../../db/mongodb';
import { createApi } from '../fixtures/api';
import { cleanUp, runScript, spawnServer, temporaryFolder } from '../fixtures/process';
import { firstReleaseSite, writeFirstReleaseDataFolder } from '../fixtures/release-010';
import { until } from '../fixtures/until';

const uri = process.env['TEST_MONGODB_URI']!;
const CHANNELS = 3000;
let connection: Connection;
let db: Db;
let settings: Record<string, string>;

beforeAll(async () => {
  const name = `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
  connection = await connectDatabase({ uri, name, dataDir: '' });
  db = connection.db;
  settings = { MONGODB_URI: uri, MONGODB_DATABASE: name };
});
afterAll(async () => {
  await cleanUp();
  await db.dropDatabase();
  await connection.close();
});

const migrated = () => db.collection('channels').countDocuments({ nameKey: { $exists: true } });

test('a migration that was killed is finished by one of the nodes that start next, and nothing is done twice', async () => {
  const groupId = new ObjectId();
  await db.collection('groups').insertOne({ _id: groupId, name: 'Group', visibility: 'public' });
  const channels: Document[] = Array.from({ length: CHANNELS }, (_, index) => ({
    _id: new ObjectId(),
    kind: 'group',
    groupId,
    name: `room${index}`,
    visibility: 'public',
  }));
  await db.collection('channels').insertMany(channels);
  // A transaction that holds one channel of the third batch stops the migration there.
  const session = connection.client.startSession();
  session.startTransaction();
  const held = channels[1200]!;
  await db.collection('channels').updateOne({ _id: held['_id'] }, { $set: { held: 1 } }, { session });
  const first = await spawnServer(settings);
  await until(async () => (await migrated()) >= 1000, 20_000);
  expect(await first.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
  await session.abortTransaction();
  await session.endSession();
  // What the killed process had sent may still be written.
  await until(async () => (await migrated()) < CHANNELS && (await migrationStatus(db)).applied.length === 0);
  const { lock, pending } = await migrationStatus(db);
  expect(pending).toMatchObject([{ number: 1 }, { number: 2 }]);
  expect(lock?.expiresAt.getTime()).toBeGreaterThan(Date.now());
  const script = (parameters: string[]) => runScript('migrate', parameters, '/nonexistent', settings);
  expect((await script(['--status'])).stdout).toMatch(
    /1 name-keys: pending \(exclusive\)[^]*process \d+\) holds it/,
  );
  const half = await migrated();
  expect(half).toBeGreaterThanOrEqual(1000);

  const next = await Promise.all([spawnServer(settings), spawnServer(settings)]);
  // The 30 seconds of the lock pass.
  await db
    .collection<Document & { _id: string }>('migrations')
    .updateOne({ _id: 'lock' }, { $set: { expiresAt: new Date(0) } });
  await Promise.all(next.map((server) => server.listening()));
  const { applied } = await migrationStatus(db);
  expect(applied[0]).toMatchObject({ counts: { channels: CHANNELS - half, groups: 0, users: 0 } });
  expect(await migrated()).toBe(CHANNELS);
  const { code, stdout } = await script(['--status']);
  expect([code, stdout.match(/^ {2}\d .*: done by Parley/gm), stdout.match(/^Node .* alive/gm)]).toEqual([
    0,
    [expect.stringContaining('1 name-keys'), expect.stringContaining('2 first-release')],
    [expect.any(String), expect.any(String)],
  ]);
  expect((await script([])).stdout).toContain('There is nothing to migrate.');

  // A newer version excludes this one: nodes that still run end, and none starts.
  await db
    .collection<Document & { _id: string }>('migrations')
    .updateOne({ _id: 'schema' }, { $set: { minimum: 99 } });
  for (const server of next) expect(await server.exited).toEqual({ code: 1, signal: null });
  const refused = await spawnServer(settings);
  expect(await refused.exited).toEqual({ code: 1, signal: null });
  expect(refused.stderr).toMatch(
    /^Parley cannot start: The database was changed by a newer version of Parley/,
  );
}, 60_000);

test('the data folder of a site of 0.1.0 is upgraded by starting this version', async () => {
  const site = firstReleaseSite();
  const folder = await temporaryFolder();
  await writeFirstReleaseDataFolder(join(folder, 'data'));
  const { jwtSecret, encryptionKey } = site;
  const server = await spawnServer(
    { DATA_DIR: join(folder, 'data'), JWT_SECRET: jwtSecret, ENCRYPTION_KEY: encryptionKey },
    folder,
  );
  const api = await createApi(await server.listening());
  const { body } = await api.post('/api/auth/login', { identifier: 'BOB', password: site.password });
  const path = `/api/channels/${site.ids.channels.general}/messages?limit=100`;
  const before = site.sees.find((each) => each.user === 'bob' && each.path === path)!.body
    .messages as Document[];
  const after = (await api.get(path, body.accessToken)).body.messages as Document[];
  expect(after.map(({ id, body: text }) => [id, text])).toEqual(
    before.map(({ id, body: text }) => [id, text]),
  );
  const found = await api.get('/api/search/messages?query=grind', body.accessToken);
  expect(found.body.hits.length).toBeGreaterThan(0);
  expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null });
  const status = await runScript('migrate', ['--status'], join(folder, 'data'));
  expect(status.stdout.match(/^ {2}\d .*: done by Parley/gm)).toHaveLength(2);
});
