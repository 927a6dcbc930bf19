import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { hostileBody, hostileQuery, hostileSegment } from '../fixtures/hostile';
import { nameOf, setAvatar } from '../fixtures/images';
import { createRoom, PASSWORD, signUp, type Person } from '../fixtures/people';
import { fillPath, operationsOf, type Operation } from '../fixtures/routes';
import { startTestServer, type TestServer } from '../fixtures/server';

/** Good bodies, by operation. What the test makes of them is not good. */
const BODIES: Record<string, (at: Stage) => Record<string, unknown>> = {
  register: () => ({
    username: `h${randomUUID().slice(0, 20)}`,
    email: `${randomUUID()}@example.org`,
    password: PASSWORD,
    displayName: 'Somebody',
  }),
  login: ({ person }) => ({ identifier: person.username, password: PASSWORD }),
  refresh: () => ({ refreshToken: `${'0'.repeat(24)}.${'x'.repeat(43)}.${'x'.repeat(43)}` }),
  createGroup: () => ({ name: randomUUID(), description: 'd', visibility: 'private' }),
  addMember: ({ guest }) => ({ userId: guest.id }),
  createChannel: ({ groupId }) => ({ groupId, name: randomUUID(), topic: 't', visibility: 'public' }),
  updateChannel: () => ({ name: randomUUID(), topic: 't', visibility: 'private' }),
  addChannelMember: ({ guest }) => ({ userId: guest.id }),
  markChannelRead: () => ({ seq: 1 }),
  sendMessage: () => ({ clientMessageId: randomUUID(), body: 'hello' }),
  forgotPassword: () => ({ email: `${randomUUID()}@example.org` }),
  resetPassword: () => ({ token: 'x'.repeat(43), newPassword: PASSWORD }),
  verifyEmail: () => ({ token: 'x'.repeat(43) }),
  // What would end the account or its sessions has the wrong password.
  changePassword: () => ({ password: 'wrong', code: '000000', newPassword: PASSWORD }),
  deleteAccount: () => ({ password: 'wrong', code: '000000' }),
  deactivateAccount: () => ({ password: 'wrong', code: '000000' }),
  changeEmail: () => ({ password: PASSWORD, email: `${randomUUID()}@example.org` }),
  setUpTotp: () => ({ password: PASSWORD }),
  enableTotp: () => ({ code: '000000' }),
  disableTotp: () => ({ password: PASSWORD, code: '000000' }),
  renewRecoveryCodes: () => ({ password: PASSWORD, code: '000000' }),
  updateProfile: () => ({ displayName: 'S', bio: 'b', statusText: 's', timeZone: 'Europe/Lisbon' }),
  updatePreferences: () => ({
    notificationLevel: 'mentions',
    doNotDisturbUntil: '2999-01-01T00:00:00Z',
    sendReadReceipts: false,
    invisible: true,
    locale: 'pt-BR',
    extras: { theme: 'dark' },
  }),
  changeRole: () => ({ role: 'group_admin' }),
  setMaintenance: () => ({ enabled: true, message: 'm', until: '2999-01-01T00:00:00Z' }),
  createAnnouncement: () => ({ title: 't', body: 'b', level: 'info', endsAt: '2999-01-01T00:00:00Z' }),
  suspendUser: () => ({ reason: 'r', until: '2999-01-01T00:00:00Z' }),
  editMessage: () => ({ body: `hello ${randomUUID()}` }),
};

/** Calls that would take away what the next call needs. They get hostile paths only. */
const ENDING = [
  'logout',
  'logoutEverywhere',
  'revokeSession',
  'leaveGroup',
  'removeMember',
  'deleteChannel',
  'removeChannelMember',
  'deleteNotification',
];

interface Stage {
  person: Person;
  guest: Person;
  groupId: string;
  channelId: string;
  messageId: string;
  userId: string;
  sessionId: string;
  announcementId: string;
  notificationId: string;
  /** Of an avatar. */
  name: string;
}

const server: Promise<TestServer> = startTestServer();
/** The first account, and so the super admin: routes of the administration are called by nobody else. */
let admin: Person;

beforeAll(async () => {
  admin = await signUp((await server).api, 'admin');
});

afterAll(async () => (await server).close());

async function setStage(): Promise<Stage> {
  const { api } = await server;
  const [person, guest] = [await signUp(api), await signUp(api)];
  const { groupId, channelId } = await createRoom(api, person, [guest]);
  const input = { clientMessageId: randomUUID(), body: 'hello' };
  const { body } = await api.get('/api/auth/sessions', person.token);
  const sessionId: string = body.sessions[0].id;
  const name = nameOf((await setAvatar(api, person)).body.user.avatarUrl);
  const sent = await api.post(`/api/channels/${channelId}/messages`, input, person.token);
  const announcement = { body: 'hello', level: 'info' };
  const announced = await api.post('/api/admin/announcements', announcement, admin.token);
  const userId = new ObjectId(person.id);
  await (await server).context.services.notifications.notify([userId], { kind: 'warning' });
  const told = await api.get('/api/client/notifications', person.token);
  return {
    person,
    guest,
    groupId,
    channelId,
    messageId: sent.body.message.id,
    userId: guest.id,
    sessionId,
    announcementId: announced.body.announcement.id,
    notificationId: told.body.notifications[0].id,
    name,
  };
}

interface Attack {
  path: string;
  query?: string;
  body?: unknown;
}

/** Calls of an operation with something wrong in the path, the query or the body. */
function attacksOn(operation: Operation, stage: Stage): fc.Arbitrary<Attack> {
  const values = stage as unknown as Record<string, string>;
  const good = fillPath(operation.path, values);
  const goodBody = BODIES[operation.operationId]?.(stage);
  const paths = operation.params.map((wrong) =>
    hostileSegment.map((segment): Attack => ({
      path: operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
        name === wrong ? segment : values[name]!,
      ),
      body: goodBody,
    })),
  );
  if (ENDING.includes(operation.operationId) && paths.length > 0) return fc.oneof(...paths);
  const queries = hostileQuery(operation.query).map((query): Attack => ({
    path: good,
    query,
    body: goodBody,
  }));
  const bodies = hostileBody(goodBody ?? {}).map((body): Attack => ({ path: good, body }));
  return fc.oneof(...paths, queries, bodies);
}

// The names of the tests have to be known before a server runs; `covers every operation` keeps the list whole.
const OPERATION_IDS = [
  'home',
  'getOpenApi',
  'getAsyncApi',
  'isLive',
  'isReady',
  'register',
  'login',
  'refresh',
  'logout',
  'logoutEverywhere',
  'me',
  'listSessions',
  'revokeSession',
  'changePassword',
  'forgotPassword',
  'resetPassword',
  'changeEmail',
  'resendVerification',
  'verifyEmail',
  'setUpTotp',
  'enableTotp',
  'disableTotp',
  'renewRecoveryCodes',
  'searchUsers',
  'updateProfile',
  'deleteAccount',
  'deactivateAccount',
  'exportAccount',
  'listBlocked',
  'blockUser',
  'unblockUser',
  'getUser',
  'listNotifications',
  'readAllNotifications',
  'readNotification',
  'deleteNotification',
  'getPreferences',
  'updatePreferences',
  'changeRole',
  'suspendUser',
  'restoreUser',
  'logOutUser',
  'listAuditLog',
  'exportAuditLog',
  'explainPermission',
  'getMaintenance',
  'setMaintenance',
  'createAnnouncement',
  'listAnnouncements',
  'endAnnouncement',
  'listCurrentAnnouncements',
  'createGroup',
  'listMyGroups',
  'getGroup',
  'joinGroup',
  'leaveGroup',
  'listMembers',
  'addMember',
  'removeMember',
  'createChannel',
  'listChannels',
  'getChannel',
  'updateChannel',
  'deleteChannel',
  'addChannelMember',
  'removeChannelMember',
  'getChannelSummary',
  'markChannelRead',
  'sendMessage',
  'listMessages',
  'editMessage',
  'deleteMessage',
  'setMyAvatar',
  'removeMyAvatar',
  'setGroupAvatar',
  'removeGroupAvatar',
  'getAvatar',
];

async function allOperations(): Promise<Operation[]> {
  return operationsOf((await (await server).api.get('/openapi.json')).body);
}

describe('whatever is sent, nothing fails in the server', () => {
  it('covers every operation', async () => {
    const operations = await allOperations();
    expect(operations.map(({ operationId }) => operationId).sort()).toEqual([...OPERATION_IDS].sort());
    const withBody = operations.filter(({ hasBody }) => hasBody).map(({ operationId }) => operationId);
    expect(withBody.sort()).toEqual(Object.keys(BODIES).sort());
  });

  it.each(OPERATION_IDS)('%s', async (id) => {
    const { api } = await server;
    const operation = (await allOperations()).find(({ operationId }) => operationId === id)!;
    const stage = await setStage();
    const caller = operation.path.startsWith('/api/admin/') ? admin : stage.person;
    const token = operation.authenticated ? caller.token : undefined;
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(attacksOn(operation, stage), async ({ path, query, body }) => {
        const { status } = await api.call(operation.method, query ? `${path}?${query}` : path, {
          token,
          body: JSON.stringify(body),
          headers: { 'Content-Type': 'application/json' },
        });
        // The API client has checked that the answer has the form of the document, errors included.
        expect(status).toBeLessThan(500);
        if (status >= 400) refused++;
      }),
      { seed: 2026, numRuns: 60 },
    );
    if (id === 'setMaintenance') await api.call('put', operation.path, { token, body: { enabled: false } });
    // A route without input refuses at most what is not JSON; every other one has seen real trouble.
    // Where fields may be left out, more of what is thrown at a route is right.
    const lenient = ['updateProfile', 'updatePreferences', 'setMaintenance', 'createAnnouncement'];
    const least = lenient.includes(id) ? 10 : 20;
    if (operation.params.length > 0 || operation.hasBody) expect(refused).toBeGreaterThan(least);
    if (operation.authenticated && !/^logout/.test(id)) {
      expect((await api.get('/api/auth/me', stage.person.token)).status).toBe(200);
    }
  });
});

describe('and after all of it', () => {
  it('what is stored is whole and true', async () => {
    const { collections } = (await server).context.database;
    const groups = await collections.groups.find().toArray();
    expect(groups.length).toBeGreaterThan(OPERATION_IDS.length - 1);
    for (const { _id, memberCount, name, visibility } of groups) {
      expect(await collections.memberships.countDocuments({ groupId: _id })).toBe(memberCount);
      expect(await collections.memberships.countDocuments({ groupId: _id, role: 'owner' })).toBe(1);
      expect([typeof name, ['public', 'private'].includes(visibility)]).toEqual(['string', true]);
    }
    for (const { _id, seq, revision, groupId } of await collections.channels.find().toArray()) {
      const messages = await collections.messages.find({ channelId: _id }).sort({ seq: 1 }).toArray();
      expect(messages.map((message) => message.seq)).toEqual(messages.map((_, index) => index + 1));
      expect(seq).toBe(messages.length);
      expect(revision).toBeGreaterThanOrEqual(seq);
      for (const { senderId, body } of messages) {
        expect([senderId instanceof ObjectId, typeof body]).toEqual([true, 'string']);
      }
      expect(await collections.groups.countDocuments({ _id: groupId! })).toBe(1);
    }
    expect(await collections.users.countDocuments({ role: 'super_admin' })).toBe(1);
    expect(await collections.users.countDocuments({ username: { $not: { $type: 'string' } } })).toBe(0);
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
  });
});
