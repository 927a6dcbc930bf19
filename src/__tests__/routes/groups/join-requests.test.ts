import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { refused } from '../../fixtures/accounts';
import { PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let asker: Person;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin.
  ({ owner } = await signUpAll(server.api, 'root', 'owner'));
});
beforeEach(async () => {
  asker = await signUp(server.api, 'asker');
});
afterAll(() => server.close());

const path = (groupId: string) => `/api/groups/${groupId}`;
const ask = (groupId: string, by = asker, note = 'Let me in') =>
  server.api.post(`${path(groupId)}/join-requests`, { note }, by.token);
const pending = async (groupId: string, by = owner, query: object = {}) =>
  server.api.get(`${path(groupId)}/join-requests`, by.token, { ...query });
const decide = (groupId: string, who: Person, what: 'approve' | 'reject', by = owner, body?: object) =>
  server.api.post(
    `${path(groupId)}/join-requests/${who.id}/${what}`,
    body ?? (what === 'reject' ? {} : undefined),
    by.token,
  );
const mine = async (by = asker, query: object = {}) =>
  (await server.api.get('/api/client/join-requests', by.token, { ...query })).body;
const withdraw = (groupId: string, by = asker) =>
  server.api.delete(`/api/client/join-requests/${groupId}`, by.token);
const notifications = async (of: Person) =>
  (await server.api.get('/api/client/notifications', of.token)).body.notifications as {
    kind: string;
    groupId: string;
    text: string;
    actorId: string;
  }[];
const notificationsOf = async (of: Person, groupId: string) =>
  (await notifications(of)).filter((notice) => notice.groupId === groupId);

async function createGroup(joinPolicy = 'approval', visibility = 'public'): Promise<string> {
  const input = { name: randomUUID(), visibility, joinPolicy };
  return (await server.api.post('/api/groups', input, owner.token)).body.group.id as string;
}

describe('requesting to join', () => {
  test("notifies the admins of the group, and is in the caller's own list", async () => {
    const groupId = await createGroup();
    const [admin, member] = [await signUp(server.api), await signUp(server.api)];
    for (const person of [admin, member]) {
      await server.api.post(`${path(groupId)}/members`, { userId: person.id }, owner.token);
    }
    await server.api.patch(`${path(groupId)}/members/${admin.id}`, { role: 'admin' }, owner.token);
    const [ofOwner, ofAdmin, ofMember] = [
      await connectClient(server.url, owner),
      await connectClient(server.url, admin),
      await connectClient(server.url, member),
    ];

    expect(await server.api.post(`${path(groupId)}/join`, undefined, asker.token)).toMatchObject(
      refused(403, 'approval_required'),
    );
    const answer = await ask(groupId, asker, 'I play chess');
    expect(answer).toMatchObject({
      status: 201,
      body: {
        joinRequest: { group: { id: groupId }, note: 'I play chess', status: 'pending', rejectedAt: null },
      },
    });
    const { joinRequest } = await ofOwner.waitFor('join_request:created');
    expect(joinRequest).toMatchObject({ groupId, user: { id: asker.id }, note: 'I play chess' });
    await ofAdmin.waitFor('join_request:created');
    const { notification } = await ofAdmin.waitFor('notification:created', (received) =>
      received.notification.kind.startsWith('join_request'),
    );
    expect(notification).toMatchObject({
      kind: 'join_request.received',
      actorId: asker.id,
      text: 'I play chess',
    });
    expect((await pending(groupId)).body.joinRequests).toEqual([joinRequest]);
    expect((await mine()).joinRequests).toEqual([answer.body.joinRequest]);
    await ofMember.ask('message:delete', { messageId: '0'.repeat(24) });
    expect(ofMember.events.filter(({ event }) => event.startsWith('join_request'))).toEqual([]);
    expect(await pending(groupId, member)).toMatchObject(refused(403, 'forbidden'));
  });

  test('again, or many times at once, makes one request and one notification', async () => {
    const groupId = await createGroup();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => ask(groupId, asker, `${index}`)),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(7).fill(200), 201]);
    const { note } = answers.find(({ status }) => status === 201)!.body.joinRequest;
    expect(answers.map(({ body }) => body.joinRequest.note)).toEqual(Array(8).fill(note));
    expect((await pending(groupId)).body.joinRequests).toHaveLength(1);
    expect(await notificationsOf(owner, groupId)).toHaveLength(1);
  });

  test('is refused where one may simply join, is a member already, or cannot see the group', async () => {
    expect(await ask(await createGroup('open'))).toMatchObject(refused(409, 'group_open'));
    expect(await ask(await createGroup(), owner)).toMatchObject(refused(409, 'member_already'));
    expect(await ask(await createGroup('approval', 'private'))).toMatchObject(refused(404, 'not_found'));
    expect(await ask(new ObjectId().toHexString())).toMatchObject(refused(404, 'not_found'));
    const archived = await createGroup();
    await server.api.post(`${path(archived)}/archive`, undefined, owner.token);
    expect(await ask(archived)).toMatchObject(refused(409, 'group_archived'));
    expect(await ask(await createGroup(), asker, 'x'.repeat(501))).toMatchObject(
      refused(400, 'validation_failed'),
    );
  });

  test('has pages, oldest first for admins, newest first for oneself', async () => {
    const groupId = await createGroup();
    const people = [asker, await signUp(server.api), await signUp(server.api)];
    for (const person of people) await ask(groupId, person);
    const first = (await pending(groupId, owner, { limit: 2 })).body;
    const second = (await pending(groupId, owner, { limit: 2, cursor: first.nextCursor })).body;
    const ids = [...first.joinRequests, ...second.joinRequests].map(({ user }) => user.id as string);
    expect(ids).toEqual(people.map(({ id }) => id));
    const others = [await createGroup(), await createGroup()];
    for (const other of others) await ask(other);
    const newest = await mine(asker, { limit: 2 });
    const oldest = await mine(asker, { limit: 2, cursor: newest.nextCursor });
    const groups = [...newest.joinRequests, ...oldest.joinRequests].map(({ group }) => group.id as string);
    expect(groups).toEqual([others[1], others[0], groupId]);
    expect(oldest.nextCursor).toBeNull();
  });
});

describe('a join request', () => {
  test('that is approved makes the user a member, once', async () => {
    const groupId = await createGroup();
    await ask(groupId);
    const client = await connectClient(server.url, asker);
    const answers = await Promise.all([1, 2, 3].map(() => decide(groupId, asker, 'approve')));
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: 200, body: { member: { userId: asker.id, role: 'member' } } });
    }
    expect((await client.waitFor('group:added')).group).toMatchObject({ id: groupId, memberCount: 2 });
    expect(await client.waitFor('join_request:ended')).toEqual({
      groupId,
      userId: asker.id,
      outcome: 'approved',
    });
    expect(await notificationsOf(asker, groupId)).toMatchObject([
      { kind: 'join_request.approved', actorId: owner.id },
    ]);
    // The admins' list of requests is empty.
    expect(await notificationsOf(owner, groupId)).toEqual([]);
    expect((await pending(groupId)).body.joinRequests).toEqual([]);
    expect((await mine()).joinRequests).toEqual([]);
    expect((await server.api.get(path(groupId), asker.token)).body.group.memberCount).toBe(2);
  });

  test('of a user who has joined meanwhile no longer exists, and approving it does no harm', async () => {
    const groupId = await createGroup();
    await ask(groupId);
    const client = await connectClient(server.url, asker);
    await server.api.post(`${path(groupId)}/members`, { userId: asker.id }, owner.token);
    expect(await client.waitFor('join_request:ended')).toMatchObject({ outcome: 'lapsed' });
    await server.api.patch(`${path(groupId)}/members/${asker.id}`, { role: 'moderator' }, owner.token);
    expect((await pending(groupId)).body.joinRequests).toEqual([]);
    const answer = await decide(groupId, asker, 'approve');
    expect(answer).toMatchObject({ status: 200, body: { member: { role: 'moderator' } } });
    expect((await server.api.get(path(groupId), asker.token)).body.group.memberCount).toBe(2);
    expect(await decide(groupId, await signUp(server.api), 'approve')).toMatchObject(
      refused(404, 'not_found'),
    );
  });

  test("that is rejected stays in the user's list, and can be repeated a day later", async () => {
    const groupId = await createGroup();
    await ask(groupId);
    const client = await connectClient(server.url, asker);
    expect((await decide(groupId, asker, 'reject', owner, { reason: 'We are full' })).status).toBe(204);
    expect(await client.waitFor('join_request:ended')).toMatchObject({ outcome: 'rejected' });
    expect(await notificationsOf(asker, groupId)).toMatchObject([
      { kind: 'join_request.rejected', text: 'We are full' },
    ]);
    expect((await mine()).joinRequests).toMatchObject([
      { status: 'rejected', rejectedAt: expect.any(String) },
    ]);
    expect((await pending(groupId)).body.joinRequests).toEqual([]);
    for (const what of ['approve', 'reject'] as const) {
      expect(await decide(groupId, asker, what)).toMatchObject(refused(404, 'not_found'));
    }
    expect(await withdraw(groupId)).toMatchObject(refused(404, 'not_found'));

    const soon = await ask(groupId);
    expect(soon).toMatchObject(refused(429, 'rate_limited'));
    expect(Number(soon.headers['retry-after'])).toBeGreaterThan(23 * 3600);
    const { joinRequests } = server.context.database.collections;
    const yesterday = new Date(Date.now() - 24 * 3600_000);
    await joinRequests.updateOne({ userId: new ObjectId(asker.id) }, { $set: { rejectedAt: yesterday } });
    expect((await ask(groupId, asker, 'Please')).status).toBe(201);
    expect((await pending(groupId)).body.joinRequests).toMatchObject([{ note: 'Please' }]);
    expect((await mine()).joinRequests).toHaveLength(1);
  });

  test('that is withdrawn no longer exists, and admins no longer see it', async () => {
    const groupId = await createGroup();
    await ask(groupId);
    const admin = await connectClient(server.url, owner);
    expect((await withdraw(groupId)).status).toBe(204);
    expect(await admin.waitFor('join_request:ended')).toMatchObject({ outcome: 'withdrawn' });
    expect(await admin.waitFor('notification:deleted')).toMatchObject({ notificationId: expect.any(String) });
    expect(await withdraw(groupId)).toMatchObject(refused(404, 'not_found'));
    expect(await decide(groupId, asker, 'approve')).toMatchObject(refused(404, 'not_found'));
    expect(await notificationsOf(owner, groupId)).toEqual([]);
    expect((await ask(groupId)).status).toBe(201);
  });

  test('ends when the group becomes private or is deleted, or when the user deletes the account', async () => {
    const closing = await createGroup();
    const deleted = await createGroup();
    const kept = await createGroup();
    for (const groupId of [closing, deleted, kept]) await ask(groupId);
    const client = await connectClient(server.url, asker);
    await server.api.patch(path(closing), { visibility: 'private' }, owner.token);
    expect(await client.waitFor('join_request:ended')).toEqual({
      groupId: closing,
      userId: asker.id,
      outcome: 'lapsed',
    });
    await server.api.delete(path(deleted), owner.token);
    await client.waitFor('join_request:ended', ({ groupId }) => groupId === deleted);
    expect((await mine()).joinRequests.map(({ group }: { group: { id: string } }) => group.id)).toEqual([
      kept,
    ]);
    expect((await pending(closing)).body.joinRequests).toEqual([]);
    await server.api.call('delete', '/api/users/me', { token: asker.token, body: { password: PASSWORD } });
    expect((await pending(kept)).body.joinRequests).toEqual([]);
    expect(await notificationsOf(owner, kept)).toEqual([]);
  });

  test('in an archived group can only be rejected', async () => {
    const groupId = await createGroup();
    await ask(groupId);
    await server.api.post(`${path(groupId)}/archive`, undefined, owner.token);
    expect(await decide(groupId, asker, 'approve')).toMatchObject(refused(409, 'group_archived'));
    expect((await decide(groupId, asker, 'reject')).status).toBe(204);
  });

  test('that is approved and withdrawn at once has one of the two outcomes', async () => {
    for (let round = 0; round < 4; round++) {
      const person = await signUp(server.api);
      const groupId = await createGroup();
      await ask(groupId, person);
      const [approved, withdrawn] = await Promise.all([
        decide(groupId, person, 'approve'),
        withdraw(groupId, person),
      ]);
      expect([approved.status, withdrawn.status].sort()).toEqual(
        approved.status === 200 ? [200, 404] : [204, 404],
      );
      const { memberCount, myRole } = (await server.api.get(path(groupId), person.token)).body.group;
      expect([memberCount, myRole]).toEqual(approved.status === 200 ? [2, 'member'] : [1, null]);
    }
  });
});
