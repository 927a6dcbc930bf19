import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { Collections } from '../../../db/collections';
import { exportedRecord } from '../../../models/accounts/account-export.model';
import { logInAgain } from '../../fixtures/accounts';
import { createRoom, PASSWORD, signUpAll, type Person } from '../../fixtures/people';
import { PERSONAL_DATA } from '../../fixtures/personal-data';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { until } from '../../fixtures/until';
import { upload } from '../../fixtures/uploads';

/** A word in everything that Ada writes. */
const MARK = 'written-by-ada';

let server: TestServer;
let bruno: Person;
let chiara: Person;
let ada: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ bruno, chiara, ada } = await signUpAll(server.api, 'bruno', 'chiara', 'ada'));
  await createPersonalData();
}, 60_000);
afterAll(() => server.close());

/** Makes a call that must succeed. */
async function act(person: Person, method: 'get' | 'post' | 'put' | 'patch', path: string, body?: object) {
  const answer = await server.api.call(method, path, { token: person.token, ...(body && { body }) });
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Creates data about Ada in every possible collection. */
async function createPersonalData(): Promise<void> {
  const { oneTimeTokens, users, videoCalls } = server.context.database.collections;
  const userId = new ObjectId(ada.id);
  await logInAgain(server.api, ada);
  await act(ada, 'patch', '/api/users/me', { bio: MARK });
  await act(ada, 'patch', '/api/client/preferences', { locale: 'pt' });
  await users.updateOne({ _id: userId }, { $set: { lastSeenAt: new Date() } });
  for (const [one, other] of [
    [ada, chiara],
    [chiara, ada],
  ] as const) {
    await act(one, 'put', `/api/users/me/blocks/${other.id}`);
  }
  await talk();
  await comeAndGo();
  await act(bruno, 'patch', `/api/admin/users/${ada.id}/role`, { role: 'super_admin' });
  await act(ada, 'post', '/api/admin/announcements', { body: MARK, level: 'info' });
  for (const enabled of [true, false]) await act(ada, 'put', '/api/admin/maintenance', { enabled });
  await act(ada, 'post', '/api/auth/password/forgot', { email: `${ada.username}@example.org` });
  await until(async () => (await oneTimeTokens.findOne({ userId })) !== null);
  // The message about the call is written after it.
  await until(async () => (await videoCalls.findOne({ recordDue: true })) === null);
}

/** In a group of Bruno's. */
async function talk(): Promise<void> {
  const { groupId, channelId } = await createRoom(server.api, bruno, [ada]);
  const channel = `/api/channels/${channelId}`;
  const send = async (person: Person, body: string, more: object = {}): Promise<string> => {
    const input = { clientMessageId: randomUUID(), body, ...more };
    return (await act(person, 'post', `${channel}/messages`, input)).message.id as string;
  };
  await act(bruno, 'patch', channel, { slowModeSeconds: 1 });
  const theirs = await send(bruno, `Hello @${ada.username}`);
  const file = await upload(server.api, ada);
  const own = await send(ada, MARK, { attachmentIds: [file.id] });
  await act(ada, 'patch', `/api/messages/${own}`, { body: `${MARK} too` });
  await act(bruno, 'patch', channel, { slowModeSeconds: 0 });
  const { call } = await act(ada, 'post', '/api/video-calls', { channelId, userIds: [bruno.id] });
  await act(bruno, 'post', `/api/video-calls/${call.id}/accept`, {});
  const reports = [{ userId: bruno.id, roundTripMs: 20 }];
  await act(ada, 'post', `/api/video-calls/${call.id}/quality`, { reports });
  await act(ada, 'put', `/api/messages/${theirs}/reactions/:x:`);
  await act(ada, 'put', `/api/messages/${theirs}/bookmark`);
  await act(ada, 'put', `/api/messages/${theirs}/follow`);
  await act(ada, 'post', `/api/messages/${theirs}/report`, { category: 'spam', note: MARK });
  await act(ada, 'put', `${channel}/notification-setting`, { notificationLevel: 'mentions' });
  await act(ada, 'put', `/api/client/drafts/${channelId}`, { body: MARK });
  const sendAt = new Date(Date.now() + 3_600_000).toISOString();
  await act(ada, 'post', '/api/client/scheduled-messages', { channelId, body: MARK, sendAt });
  const inner = await act(bruno, 'post', '/api/channels', { groupId, name: 'inner', visibility: 'private' });
  await act(bruno, 'post', `/api/channels/${inner.channel.id}/members`, { userId: ada.id });
  await act(bruno, 'put', `${channel}/restrictions/${ada.id}`, { kind: 'muted', reason: MARK });
  await act(bruno, 'patch', `/api/groups/${groupId}/members/${ada.id}`, { role: 'admin' });
  await act(ada, 'post', '/api/channels', { groupId, name: MARK });
  await act(ada, 'post', `/api/groups/${groupId}/invites`, {});
}

/** Joins and leaves groups. */
async function comeAndGo(): Promise<void> {
  const shared = await createRoom(server.api, ada, [bruno]);
  await act(ada, 'patch', `/api/groups/${shared.groupId}/members/${bruno.id}`, { role: 'owner' });
  const asked = await createRoom(server.api, bruno, [], 'public');
  await act(bruno, 'patch', `/api/groups/${asked.groupId}`, { joinPolicy: 'approval' });
  await act(ada, 'post', `/api/groups/${asked.groupId}/join-requests`, { note: MARK });
  const inviting = await createRoom(server.api, bruno);
  await act(bruno, 'post', `/api/groups/${inviting.groupId}/invites`, { userId: ada.id });
  const closed = await createRoom(server.api, bruno);
  await act(bruno, 'put', `/api/groups/${closed.groupId}/bans/${ada.id}`, { reason: MARK });
  // The record of an idempotency key does not reveal whose it is.
  await server.api.call('patch', '/api/users/me', {
    token: ada.token,
    headers: { 'Idempotency-Key': randomUUID() },
    body: { statusText: MARK },
  });
}

/** The names of the collections that contain data about Ada. */
async function aboutAda(): Promise<string[]> {
  const named: string[] = [];
  for (const [name, collection] of Object.entries(server.context.database.collections)) {
    const text = JSON.stringify(await (collection as Collections['users']).find().toArray());
    if (text.includes(ada.id) || text.includes(MARK)) named.push(name);
  }
  return named;
}

/** The names of the collections with one of these treatments. */
const treated = (...deletions: string[]) =>
  Object.entries(PERSONAL_DATA).flatMap(([name, treatment]) =>
    'deletion' in treatment && deletions.includes(treatment.deletion) ? [name] : [],
  );
const withoutParts = (names: string[]) =>
  names.filter((name) => !('partOf' in PERSONAL_DATA[name as keyof Collections])).sort();

test('every collection declares what happens to personal data', () => {
  const decided = Object.keys(PERSONAL_DATA);
  const stored = Object.keys(server.context.database.collections);
  const undecided = stored.filter((name) => !decided.includes(name));
  if (undecided.length > 0) {
    throw new Error(
      `src/db/collections.ts has ${undecided.join(', ')}, and nobody has said what becomes of it when somebody ` +
        'deletes their account, nor what of it they can export. Add a row to PERSONAL_DATA in ' +
        'src/__tests__/fixtures/personal-data.ts, do what it says in src/services/account.service.ts and ' +
        'src/services/account-export.service.ts, leave something about Ada in it in this test, and tell of it in ' +
        'docs/accounts.md.',
    );
  }
  expect(decided.filter((name) => !stored.includes(name))).toEqual([]);
  const unexplained = Object.entries(PERSONAL_DATA).filter(
    ([, row]) =>
      'deletion' in row &&
      row.because === undefined &&
      (row.deletion === 'kept' || (row.exported.length === 0 && row.deletion !== 'impersonal')),
  );
  expect(unexplained).toEqual([]);
});

test('the export of a user contains all personal data and nothing that is declared as not exported', async () => {
  expect(withoutParts(await aboutAda())).toEqual(treated('erased', 'kept').sort());
  const answer = await fetch(`${server.url}/api/users/me/export`, {
    headers: { Authorization: `Bearer ${ada.token}` },
  });
  const text = await answer.text();
  const lines = text
    .trim()
    .split('\n')
    .map((line) => exportedRecord.parse(JSON.parse(line)));
  const declared = Object.values(PERSONAL_DATA).flatMap((row) => ('exported' in row ? row.exported : []));
  expect([...new Set(lines.map(({ kind }) => kind))].sort()).toEqual(declared.sort());
  const of = (kind: string) => lines.filter((line) => line.kind === kind).map(({ data }) => data);
  const [ownText, ...aboutCalls] = of('message');
  expect(ownText).toMatchObject({ body: `${MARK} too`, senderId: ada.id });
  expect(aboutCalls).toMatchObject([
    { body: '', senderId: ada.id, call: { participantIds: [ada.id, bruno.id] } },
  ]);
  expect(of('upload')).toMatchObject([{ name: 'picture.png', mediaType: 'image/png' }]);
  expect(of('message_edit')).toMatchObject([{ body: MARK }]);
  expect(of('reaction')).toMatchObject([{ emoji: ':x:' }]);
  expect(of('report')).toMatchObject([{ category: 'spam', note: MARK }]);
  expect(of('channel_restriction')).toMatchObject([{ kind: 'muted', reason: MARK }]);
  expect(of('call')).toMatchObject([{ startedBy: ada.id, participants: [{ userId: ada.id }, {}] }]);
  expect(of('group_ban')).toMatchObject([{ reason: MARK, expiresAt: null }]);
  expect(of('join_request')).toMatchObject([{ note: MARK, rejectedAt: null }]);
  // What Bruno wrote and did belongs to him.
  expect(text).not.toContain('Hello @');
  for (const kind of ['group_ban', 'channel_restriction', 'invite', 'bookmark', 'reaction']) {
    expect(JSON.stringify(of(kind))).not.toContain(bruno.id);
  }
});

test('a deleted account leaves only the data that is declared as kept', async () => {
  await server.api.call('delete', '/api/users/me', { token: ada.token, body: { password: PASSWORD } });
  expect(withoutParts(await aboutAda())).toEqual(treated('kept').sort());
  const { notifications, users } = server.context.database.collections;
  const _id = new ObjectId(ada.id);
  expect(await notifications.countDocuments({ userId: _id })).toBe(0);
  expect(JSON.stringify(await users.findOne({ _id }))).not.toContain(MARK);
});
