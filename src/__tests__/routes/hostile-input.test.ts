import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { copyPerson, copyRoom, createRoomTemplate, type RoomTemplate } from '../fixtures/copies';
import { hostileBody, hostileQuery, hostileSegment } from '../fixtures/hostile';
import { nameOf, setAvatar } from '../fixtures/images';
import { PASSWORD, signUp, type Person } from '../fixtures/people';
import { fillPath, operationsOf, type Operation } from '../fixtures/routes';
import { sampleOf } from '../fixtures/sample';
import { startTestServer, type TestServer } from '../fixtures/server';
import { upload } from '../fixtures/uploads';

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

/** Valid bodies where the schema is too permissive to generate one. The test derives invalid bodies from them. */
const BODIES: Record<string, (at: Fixture) => Record<string, unknown>> = {
  register: () => ({
    username: `h${randomUUID().slice(0, 20)}`,
    email: `${randomUUID()}@example.org`,
    password: PASSWORD,
  }),
  login: ({ person }) => ({ identifier: person.username, password: PASSWORD }),
  refresh: () => ({ refreshToken: `${'0'.repeat(24)}.${'x'.repeat(43)}.${'x'.repeat(43)}` }),
  createGroup: () => ({ name: randomUUID() }),
  addMember: ({ guest }) => ({ userId: guest.id }),
  changeMemberRole: () => ({ role: 'moderator' }),
  banFromGroup: () => ({ expiresAt: inAnHour() }),
  createInvite: () => ({ userId: undefined, expiresAt: inAnHour() }),
  createChannel: ({ groupId }) => ({ groupId, name: randomUUID() }),
  updateChannel: () => ({ name: randomUUID() }),
  addChannelMember: ({ guest }) => ({ userId: guest.id }),
  sendMessage: () => ({ clientMessageId: randomUUID(), body: 'hello', attachmentIds: [] }),
  linkAttachments: ({ attachmentId }) => ({ attachmentIds: [attachmentId] }),
  resetPassword: () => ({ newPassword: PASSWORD }),
  // Calls that would end the account or its sessions have the wrong password.
  changePassword: () => ({ password: 'wrong', code: '000000', newPassword: PASSWORD }),
  deleteAccount: () => ({ password: 'wrong', code: '000000' }),
  deactivateAccount: () => ({ password: 'wrong', code: '000000' }),
  changeEmail: () => ({ password: PASSWORD, email: `${randomUUID()}@example.org` }),
  setUpTotp: () => ({ password: PASSWORD }),
  disableTotp: () => ({ password: PASSWORD, code: '000000' }),
  renewRecoveryCodes: () => ({ password: PASSWORD, code: '000000' }),
  updateProfile: () => ({ timeZone: 'Europe/Lisbon' }),
  updatePreferences: () => ({ extras: { theme: 'dark' } }),
  changeRole: () => ({ role: 'group_admin' }),
  scheduleMessage: ({ channelId }) => ({ channelId, attachmentIds: [], sendAt: inAnHour() }),
  updateScheduledMessage: () => ({ sendAt: inAnHour() }),
  saveDraft: () => ({ clientMessageId: randomUUID() }),
};

/** Calls, beside deletions, that would remove what the next call needs. They get only hostile paths. */
const ENDING = ['logout', 'logoutEverywhere', 'leaveGroup'];

/** The call that affects all users. It is made when no other call is in progress. */
const ALONE = 'setMaintenance';

/** The number of calls per operation. */
const RUNS = Number(process.env['HOSTILE_RUNS'] ?? 16);
/** The number of operations that are called concurrently. */
const AT_ONCE = 4;

interface Fixture {
  person: Person;
  guest: Person;
  groupId: string;
  channelId: string;
  messageId: string;
  userId: string;
  /** The name of an avatar file. */
  name: string;
  sessionId?: string;
  announcementId?: string;
  notificationId?: string;
  scheduledMessageId?: string;
  attachmentId?: string;
}

const server: Promise<TestServer> = startTestServer();
/** The first account, and therefore the super admin: only this user calls routes of the administration. */
let admin: Person;
let avatarName: string;
/** The user and the group that those of each operation are copied from. */
let original: RoomTemplate;

beforeAll(async () => {
  const { api } = await server;
  admin = await signUp(api, 'admin');
  original = await createRoomTemplate(
    await server,
    await signUp(api),
    { visibility: 'private' },
    'public',
    {},
  );
  avatarName = nameOf((await setAvatar(api, admin)).body.user.avatarUrl);
});

afterAll(async () => (await server).close());

/** Creates the users, the group and a message for an operation, and the other objects of its path. */
async function createFixture({ path }: Operation): Promise<Fixture> {
  const { api, context } = await server;
  const person = await copyPerson(await server, original.owner, 'person');
  const guest = await copyPerson(await server, original.owner, 'guest');
  const members = [{ person: guest, role: 'member' as const }];
  const { groupId, channelId } = await copyRoom(await server, original, { owner: person, members });
  const send = async (path: string, body: object, by = person) => (await api.post(path, body, by.token)).body;
  const message = { clientMessageId: randomUUID(), body: 'hello' };
  const { id: messageId } = (await send(`/api/channels/${channelId}/messages`, message)).message;
  const fixture: Fixture = {
    person,
    guest,
    groupId,
    channelId,
    messageId,
    userId: guest.id,
    name: avatarName,
  };
  if (path.includes('session')) {
    fixture.sessionId = (await api.get('/api/auth/sessions', person.token)).body.sessions[0].id;
  }
  if (path.includes('announcement')) {
    const announcement = { body: 'hello', level: 'info' };
    fixture.announcementId = (await send('/api/admin/announcements', announcement, admin)).announcement.id;
  }
  if (path.includes('notification')) {
    await context.services.notifications.notify([new ObjectId(person.id)], {
      kind: 'warning',
      actorId: null,
    });
    const notifications = await api.get('/api/client/notifications', person.token);
    fixture.notificationId = notifications.body.notifications[0].id;
  }
  if (path.includes('scheduled')) {
    const later = { channelId, body: 'later', sendAt: inAnHour() };
    fixture.scheduledMessageId = (await send('/api/client/scheduled-messages', later)).scheduledMessage.id;
  }
  if (path.includes('upload')) fixture.attachmentId = (await upload(api, person)).id;
  return fixture;
}

/** The value of path parameters without an object: an unknown id. */
const UNKNOWN_ID = 'abcdefabcdefabcdefabcdef';

interface Attack {
  path: string;
  query?: string;
  body?: unknown;
}

/** Calls of an operation with an error in the path, the query or the body. */
function attacksOn(
  operation: Operation,
  fixture: Fixture,
  goodBody: object | undefined,
): fc.Arbitrary<Attack> {
  const unknownId = Object.fromEntries(operation.params.map((name) => [name, UNKNOWN_ID]));
  const values = { ...unknownId, ...fixture } as unknown as Record<string, string>;
  const good = fillPath(operation.path, values);
  const paths = operation.params.map((wrong) =>
    hostileSegment.map((segment): Attack => ({
      path: operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
        name === wrong ? segment : values[name]!,
      ),
      body: goodBody,
    })),
  );
  const ending = ENDING.includes(operation.operationId) || (operation.method === 'delete' && !goodBody);
  if (ending && paths.length > 0) return fc.oneof(...paths);
  const queries = hostileQuery(operation.query).map((query): Attack => ({
    path: good,
    query,
    body: goodBody,
  }));
  const bodies = hostileBody({ ...goodBody }).map((body): Attack => ({ path: good, body }));
  return fc.oneof(...paths, queries, bodies);
}

/** Calls an operation with hostile input. @throws when the server fails, or when it refuses nothing. */
async function attack(operation: Operation, document: any): Promise<void> {
  const { api } = await server;
  const { operationId: id, method } = operation;
  const fixture = await createFixture(operation);
  const schema = document.paths[operation.path][method].requestBody?.content['application/json']?.schema;
  const sample = schema && (sampleOf(schema, document) as object);
  const goodBody = sample && { ...sample, ...BODIES[id]?.(fixture) };
  const caller = operation.path.startsWith('/api/admin/') ? admin : fixture.person;
  const token = operation.authenticated ? caller.token : undefined;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(attacksOn(operation, fixture, goodBody), async ({ path, query, body }) => {
      const { status } = await api.call(method, query ? `${path}?${query}` : path, {
        token,
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
      });
      // The API client has checked that the response conforms to the document, including errors.
      expect([id, status < 500]).toEqual([id, true]);
      if (status >= 400) refused++;
    }),
    { seed: 2026, numRuns: RUNS },
  );
  // A route without input refuses malformed JSON at most; every other one must have refused something.
  if (operation.params.length > 0 || operation.hasBody) {
    expect([id, refused > RUNS / 8]).toEqual([id, true]);
  }
  if (id === ALONE) await api.call(method, operation.path, { token, body: { enabled: false } });
  if (operation.authenticated && !/^logout/.test(id)) {
    expect([id, (await api.get('/api/auth/me', fixture.person.token)).status]).toEqual([id, 200]);
  }
}

describe('hostile input never causes a server error', () => {
  let document: any;
  let operations: Operation[];

  beforeAll(async () => {
    document = (await (await server).api.get('/openapi.json')).body;
    operations = operationsOf(document);
  });

  it('in operations that can be called at any time', async () => {
    const waiting = operations.filter(({ operationId }) => operationId !== ALONE);
    const workOff = async () => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await attack(next, document);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, workOff));
  }, 180_000);

  it('in the operation that changes the settings of all users', async () => {
    await attack(
      operations.find(({ operationId }) => operationId === ALONE)!,
      document,
    );
  });
});

describe('after all hostile calls', () => {
  it('the stored data is consistent', async () => {
    const { collections } = (await server).context.database;
    const groups = await collections.groups.find().toArray();
    expect(groups.length).toBeGreaterThan(50);
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
