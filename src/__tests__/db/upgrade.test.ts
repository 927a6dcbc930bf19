import { randomUUID } from 'node:crypto';
import supertest from 'supertest';
import type { Db, Document, IndexDescriptionInfo } from 'mongodb';
import { connectDatabase, openDatabase, type Connection } from '../../db/mongodb';
import { cleanUp, runScript, temporaryFolder } from '../fixtures/process';
import {
  copyFirstReleaseUploads,
  firstReleaseLines,
  firstReleaseSite,
  restoreFirstRelease,
} from '../fixtures/release-010';
import { startTestServer, type TestServer } from '../fixtures/server';
import { connect } from '../fixtures/sockets';
import { codeOf } from '../fixtures/totp';

/** A site of 0.1.0 (fixtures/release-0.1.0), and the server of this version that was started on it. */
const site = firstReleaseSite();
const uri = process.env['TEST_MONGODB_URI']!;
const name = `test_${randomUUID().replaceAll('-', '').slice(0, 24)}`;
let connection: Connection;
let db: Db;
let server: TestServer;
/** By how many milliseconds some times were moved. */
let age: number;
/** The access tokens, by username. */
const tokens = new Map<string, string>();
const token = (username: string): string => tokens.get(username)!;
const logIn = (identifier: string, more: object = {}) =>
  server.api.post('/api/auth/login', { identifier, password: site.password, ...more });

const sendAs = (username: string, channelId: string, clientMessageId: string, body: string) =>
  server.api.post(`/api/channels/${channelId}/messages`, { clientMessageId, body }, token(username));

beforeAll(async () => {
  connection = await connectDatabase({ uri, name, dataDir: '' });
  db = connection.db;
  age = await restoreFirstRelease(db);
  const uploads = await temporaryFolder();
  await copyFirstReleaseUploads(uploads);
  const { jwtSecret, encryptionKey } = site;
  server = await startTestServer({
    MONGODB_DATABASE: name,
    JWT_SECRET: jwtSecret,
    ENCRYPTION_KEY: encryptionKey,
    UPLOAD_DIR: uploads,
  });
}, 60_000);
afterAll(async () => {
  await server.close();
  await connection.close();
  await cleanUp();
});

test('devices stay logged in, except those of users who were shut out', async () => {
  const refused: string[] = [];
  for (const [username, { refreshToken }] of Object.entries(site.people)) {
    const { status, body } = await server.api.post('/api/auth/refresh', { refreshToken });
    if (status === 200) tokens.set(username, body.accessToken as string);
    else refused.push(username);
  }
  expect(refused.sort()).toEqual(['eve', 'fred', 'gina', 'hal']);
});

/** What differs between two versions of an answer; only fields that the first one has are compared. */
function differences(before: unknown, after: unknown, path = ''): string[] {
  const isMoved = (value: string, other: string) => Date.parse(value) + age === Date.parse(other);
  if (before === after) return [];
  if (typeof before === 'string' && typeof after === 'string' && isMoved(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after) && before.length !== after.length) {
    return [`${path}: ${before.length} and ${after.length} elements`];
  }
  if (before !== null && typeof before === 'object' && after !== null && typeof after === 'object') {
    return Object.entries(before).flatMap(([key, value]) =>
      differences(value, (after as Document)[key], `${path}.${key}`),
    );
  }
  return [`${path}: ${JSON.stringify(before)} and ${JSON.stringify(after)}`];
}

/** Differences that are meant: what this version reports otherwise, and what every request changes. */
const MEANT = [
  /\.(serverTime|requestId|lastSeenAt): /,
  // Public channels count the members of their group.
  /\.memberCount: 0 and [1-9]/,
  // File names lose characters that change the writing direction.
  /\.attachments\.\d+\.name: "[^"]*\u061c[^"]*" and "[^"\u061c]*"$/,
];

test('everybody sees what they saw before the upgrade', async () => {
  const found: string[] = [];
  for (const { user, path, status, body } of site.sees) {
    const answer = await server.api.get(path, token(user));
    if (path.startsWith('/api/admin/audit-log')) {
      // The requests of this test are recorded, too.
      const entries: unknown[] = [];
      for (let cursor = ''; entries.length < body.entries.length * 2;) {
        const page = (await server.api.get(`${path}${cursor}`, token(user))).body;
        entries.push(...page.entries);
        if (page.nextCursor === null) break;
        cursor = `&cursor=${page.nextCursor}`;
      }
      expect(entries).toEqual(expect.arrayContaining(body.entries));
      continue;
    }
    for (const each of differences({ status, body }, { status: answer.status, body: answer.body })) {
      if (!MEANT.some((meant) => meant.test(each))) found.push(`${user} ${path}${each}`);
    }
  }
  expect(found).toEqual([]);
  expect(site.sees.length).toBeGreaterThan(250);
}, 60_000);

test('the audit log is intact, and unread counts equalled a recount', async () => {
  const verified = site.sees.filter(({ path }) => path === '/api/client/verify');
  expect(verified.map(({ body }) => body.drift)).toEqual(Array(9).fill([]));
  const folder = await temporaryFolder();
  const environment = { MONGODB_URI: uri, MONGODB_DATABASE: name };
  const { code, stdout } = await runScript('audit:verify', [], folder, environment);
  expect([code, stdout]).toEqual([0, expect.stringContaining('The audit log is intact')]);
});

test('users log in with their passwords, second factors and states as before', async () => {
  for (const username of [
    'ADA',
    'bob@example.ORG',
    'cleo.patra',
    'nora',
    'rnary',
    'MARY',
    'maryi',
    'mary1',
  ]) {
    expect([username, (await logIn(username)).status]).toEqual([username, 200]);
  }
  expect((await logIn('kim')).body.error.code).toBe('totp_required');
  expect((await logIn('kim', { code: await codeOf(site.totp.secret) })).status).toBe(200);
  expect((await logIn('kim', { code: site.totp.recoveryCodes[0] })).status).toBe(200);
  const codes = await Promise.all(
    ['eve', 'fred', 'hal'].map(async (who) => (await logIn(who)).body.error.code),
  );
  expect(codes).toEqual(['account_banned', 'account_suspended', 'invalid_credentials']);
  expect((await logIn('gina')).status).toBe(200);
});

test('links, codes and keys of the old version are valid', async () => {
  expect((await logIn('judy.new@example.org')).status).toBe(401);
  const verify = () => server.api.post('/api/auth/email/verify', { token: site.judyToken });
  expect((await verify()).status).toBe(204);
  expect((await logIn('JUDY.NEW@example.org')).body.user).toMatchObject({
    username: 'judy',
    pendingEmail: null,
  });
  const { status } = await server.api.post('/api/invites/accept', { code: site.invite }, token('nora'));
  expect(status).toBe(200);
  const { key, body, answer } = site.idempotent;
  const repeated = await server.api.call('post', '/api/groups', {
    token: token('nora'),
    body,
    headers: { 'Idempotency-Key': key },
  });
  expect(differences(answer, repeated.body)).toEqual([]);
  const { channelId, clientMessageId, body: text, id } = site.resend;
  const again = await sendAs('bob', channelId, clientMessageId, text);
  expect(again.body.message.id).toBe(id);
});

test('files download as before', async () => {
  expect(site.files).toHaveLength(2);
  for (const { user, path, mediaType, base64 } of site.files) {
    const answer = await supertest(server.url)
      .get(path)
      .set('Authorization', `Bearer ${token(user)}`)
      .buffer(true)
      .parse((response, done) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () => done(null, Buffer.concat(parts)));
      });
    expect([answer.status, answer.headers['content-type']]).toEqual([200, mediaType]);
    expect((answer.body as Buffer).toString('base64')).toBe(base64);
    expect(answer.headers['content-disposition']).not.toContain('%D8%9C');
  }
  const avatar = site.sees.find(({ path }) => path === '/api/auth/me')!.body.user.avatarUrl as string;
  expect((await server.api.get(avatar)).status).toBe(200);
});

test('clients synchronise the whole history over sockets, and it continues', async () => {
  const bob = await connect(server.url, token('bob'));
  const { general } = site.ids.channels;
  const history = site.sees.find(
    ({ user, path }) => user === 'bob' && path === `/api/channels/${general}/messages?limit=100`,
  )!.body.messages as { id: string; seq: number; mentionIds: string[] }[];
  const synced = await bob.ask('sync', { since: { [general]: 0 }, limit: 1000, named: true });
  const changes = (synced as any).data.channels[0].changes as { kind: string; message: { id: string } }[];
  const ids = changes.filter(({ kind }) => kind === 'message').map(({ message }) => message.id);
  expect(ids).toEqual(expect.arrayContaining(history.map(({ id }) => id)));

  const { body } = await sendAs('Ada', general, randomUUID(), 'A new message for @bob');
  const newest = Math.max(...history.map(({ seq }) => seq));
  expect(body.message).toMatchObject({ seq: newest + 1, mentionIds: [site.people['bob']!.id] });
  await bob.waitForMessage(({ message }) => message.id === body.message.id);
  const { last } = site.ids.messages;
  await server.api.call('put', `/api/messages/${last}/reactions/👍`, { token: token('Ada') });
  const reacted = await bob.waitForMessage(({ message }) => message.id === last);
  expect(reacted.message.reactions).toMatchObject([{ emoji: '👍', count: 1 }]);
  bob.close();
});

test('names that look like an old one are refused, and no old form is left', async () => {
  const register = (username: string) =>
    server.api.post('/api/auth/register', { username, email: 'new@example.org', password: site.password });
  for (const username of ['ADA', 'rnary', 'maryl', 'B0B']) {
    expect([username, (await register(username)).body.error.code]).toEqual([username, 'username_taken']);
  }
  const create = await server.api.post(
    '/api/groups',
    { name: 'cafe\u0301', visibility: 'private' },
    token('bob'),
  );
  expect(create.body.error.code).toBe('group_name_taken');
  expect(
    await db
      .collection('users')
      .countDocuments({ email: { $exists: true }, pendingEmail: { $exists: true } }),
  ).toBe(0);
  for (const path of ['messages', 'scheduled_messages']) {
    expect(await db.collection(path).countDocuments({ 'attachments.name': { $regex: '\u061c' } })).toBe(0);
  }
  expect(await db.collection('uploads').countDocuments({ name: { $regex: '\u061c' } })).toBe(0);
});

/** The indexes of a database, by collection. */
async function indexesOf(database: Db): Promise<Record<string, IndexDescriptionInfo[]>> {
  const collections = await database.listCollections({}, { nameOnly: true }).toArray();
  const entries = await Promise.all(
    collections.map(async (each) => [each.name, await database.collection(each.name).indexes()] as const),
  );
  const sort = (indexes: IndexDescriptionInfo[]) =>
    indexes.sort((one, other) => (String(one.name) < String(other.name) ? -1 : 1));
  return Object.fromEntries(
    entries.filter(([, indexes]) => indexes.length > 1).map(([each, indexes]) => [each, sort(indexes)]),
  );
}

test('the indexes are those of a new database', async () => {
  const fresh = await openDatabase({ uri, name: `${name}_new`, dataDir: '' });
  try {
    expect(await indexesOf(db)).toEqual(await indexesOf(fresh.db));
  } finally {
    await fresh.db.dropDatabase();
    await fresh.close();
  }
});

test('version 0.1.0, which knows no migrations, cannot start on the migrated database', async () => {
  // It creates its indexes when it starts, and ends if that fails.
  const indexes = firstReleaseLines().flatMap(
    ({ collection, index }) => (collection === 'users' && index) || [],
  );
  await expect(db.collection('users').createIndexes(indexes)).rejects.toThrow(
    /same name as the requested index/,
  );
});
