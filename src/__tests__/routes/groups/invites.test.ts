import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { everythingStored, refused } from '../../fixtures/accounts';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let guest: Person;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin.
  ({ owner } = await signUpAll(server.api, 'root', 'owner'));
});
beforeEach(async () => {
  guest = await signUp(server.api, 'guest');
});
afterAll(() => server.close());

const path = (groupId: string) => `/api/groups/${groupId}`;
const create = (groupId: string, body: object = {}, by = owner) =>
  server.api.post(`${path(groupId)}/invites`, body, by.token);
const codeFor = async (groupId: string, body: object = {}, by = owner) =>
  (await create(groupId, body, by)).body.code as string;
const list = async (groupId: string, query: object = {}) =>
  (await server.api.get(`${path(groupId)}/invites`, owner.token, { ...query })).body;
const accept = (code: string, by = guest) => server.api.post('/api/invites/accept', { code }, by.token);
/** Uses a new connection: a kept-alive one may be closed by the time that fifty calls need it. */
const acceptApart = (code: string, by: Person) =>
  server.api.call('post', '/api/invites/accept', { body: { code }, token: by.token, headers: APART });
const APART = { Connection: 'close' };
const mine = async (by = guest) => (await server.api.get('/api/client/invites', by.token)).body.invites;
const acceptMine = (inviteId: string, by = guest) =>
  server.api.post(`/api/client/invites/${inviteId}/accept`, undefined, by.token);
const decline = (inviteId: string, by = guest) =>
  server.api.delete(`/api/client/invites/${inviteId}`, by.token);
const revoke = (groupId: string, inviteId: string, by = owner) =>
  server.api.delete(`${path(groupId)}/invites/${inviteId}`, by.token);
const invalid = refused(404, 'invite_invalid');

async function take(groupId: string, role: string): Promise<Person> {
  const person = await signUp(server.api, role);
  await server.api.post(`${path(groupId)}/members`, { userId: person.id }, owner.token);
  await server.api.patch(`${path(groupId)}/members/${person.id}`, { role }, owner.token);
  return person;
}

const expire = (inviteId: string) =>
  server.context.database.collections.invites.updateOne(
    { _id: new ObjectId(inviteId) },
    { $set: { expiresAt: new Date(Date.now() - 1) } },
  );

describe('an invite code', () => {
  test('admits whoever has it to a private group, with the role of the invite', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const { status, body } = await create(groupId, { role: 'moderator', maxUses: 2 });
    expect(status).toBe(201);
    expect(body.invite).toMatchObject({ groupId, userId: null, role: 'moderator', uses: 0, usesLeft: 2 });
    expect(body.code).toMatch(/^[\w-]{22}$/);
    const lifetime = new Date(body.invite.expiresAt).getTime() - new Date(body.invite.createdAt).getTime();
    expect(lifetime).toBe(7 * 24 * 3600_000);
    const [client, present] = [
      await connectClient(server.url, guest),
      await connectClient(server.url, owner),
    ];
    const answer = await accept(body.code);
    expect(answer).toMatchObject({
      status: 200,
      body: { group: { id: groupId, myRole: 'moderator', memberCount: 2 } },
    });
    expect((await client.waitFor('group:added')).group).toEqual(answer.body.group);
    expect((await present.waitFor('member:added')).member).toMatchObject({
      userId: guest.id,
      role: 'moderator',
    });
    expect((await list(groupId)).invites).toMatchObject([{ id: body.invite.id, uses: 1, usesLeft: 1 }]);
  });

  test('is stored as a hash only, and shown once', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const code = await codeFor(groupId);
    expect(await everythingStored(server)).not.toContain(code);
    expect(JSON.stringify(await list(groupId))).not.toContain(code);
    const codes = await Promise.all(Array.from({ length: 20 }, () => codeFor(groupId)));
    expect(new Set(codes).size).toBe(20);
  });

  test('with ten uses admits ten of fifty concurrent users, and counts the uses', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const code = await codeFor(groupId, { maxUses: 10 });
    const people: Person[] = [];
    while (people.length < 50) people.push(await signUp(server.api));
    const answers = await Promise.all(people.map((person) => acceptApart(code, person)));
    const statuses = answers.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    for (const answer of answers) if (answer.status !== 200) expect(answer).toMatchObject(invalid);
    const { invites } = await list(groupId);
    expect(invites).toMatchObject([{ uses: 10, usesLeft: 0 }]);
    const { body } = await server.api.get(path(groupId), owner.token);
    expect(body.group.memberCount).toBe(11);
    const groupIds = { groupId: new ObjectId(groupId) };
    expect(await server.context.database.collections.memberships.countDocuments(groupIds)).toBe(11);
  }, 120_000);

  test('is not used up by members, however often they use it', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const code = await codeFor(groupId, { maxUses: 2, role: 'admin' });
    const answers = await Promise.all([accept(code), accept(code), accept(code)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    // The owner stays the owner.
    expect(await accept(code, owner)).toMatchObject({ status: 200, body: { group: { myRole: 'owner' } } });
    expect((await list(groupId)).invites).toMatchObject([{ uses: 1, usesLeft: 1 }]);
  });

  test('that is invented, expired, used up, revoked or of a deleted group gives the same error', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const expired = (await create(groupId)).body;
    await expire(expired.invite.id);
    const spent = await codeFor(groupId, { maxUses: 1 });
    await accept(spent, await signUp(server.api));
    const revoked = (await create(groupId)).body;
    expect((await revoke(groupId, revoked.invite.id)).status).toBe(204);
    expect(await revoke(groupId, revoked.invite.id)).toMatchObject(refused(404, 'not_found'));
    const other = await createRoom(server.api, owner);
    const deleted = await codeFor(other.groupId);
    await server.api.delete(path(other.groupId), owner.token);
    const answers = [];
    for (const code of ['invented', randomUUID(), expired.code, spent, revoked.code, deleted]) {
      const { status, body } = await accept(code);
      answers.push({ status, code: body.error.code, message: body.error.message });
    }
    expect(answers).toEqual(Array(6).fill({ ...answers[0], status: 404, code: 'invite_invalid' }));
    expect((await list(groupId)).invites.map(({ usesLeft }: { usesLeft: number }) => usesLeft)).toEqual([0]);
  });

  test('expires when its creator loses the right to invite', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const ends: ((person: Person) => Promise<{ status: number }>)[] = [
      ({ id }) => server.api.delete(`${path(groupId)}/members/${id}`, owner.token),
      ({ id }) => server.api.patch(`${path(groupId)}/members/${id}`, { role: 'moderator' }, owner.token),
      ({ id }) => server.api.call('put', `${path(groupId)}/bans/${id}`, { token: owner.token, body: {} }),
      ({ token }) => server.api.post(`${path(groupId)}/leave`, undefined, token),
    ];
    for (const end of ends) {
      const admin = await take(groupId, 'admin');
      const code = await codeFor(groupId, {}, admin);
      expect((await end(admin)).status).toBeLessThan(300);
      expect(await accept(code)).toMatchObject(invalid);
    }
    const admin = await take(groupId, 'admin');
    const code = await codeFor(groupId, {}, admin);
    await server.api.patch(`${path(groupId)}/members/${admin.id}`, { role: 'owner' }, owner.token);
    expect((await accept(code)).status).toBe(200);
  });

  test.each([
    ['owner', 'admin', 201],
    ['admin', 'admin', 403],
    ['admin', 'moderator', 201],
    ['moderator', 'member', 403],
  ] as const)('of a %s for the role %s: %d', async (by, role, status) => {
    const { groupId } = await createRoom(server.api, owner);
    const actor = by === 'owner' ? owner : await take(groupId, by);
    expect((await create(groupId, { role }, actor)).status).toBe(status);
  });

  test.each([
    { role: 'owner' },
    { maxUses: 0 },
    { maxUses: 1.5 },
    { expiresAt: '2020-01-01T00:00:00Z' },
    { userId: '0'.repeat(24), maxUses: 2 },
    { code: 'mine' },
  ])('is refused with %j', async (body) => {
    const { groupId } = await createRoom(server.api, owner);
    expect(await create(groupId, body)).toMatchObject(refused(400, 'validation_failed'));
  });

  test('may be valid for ever, and does not work for an archived group', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const { invite, code } = (await create(groupId, { expiresAt: null })).body;
    expect(invite).toMatchObject({ expiresAt: null, usesLeft: null });
    await server.api.post(`${path(groupId)}/archive`, undefined, owner.token);
    expect(await accept(code)).toMatchObject(refused(409, 'group_archived'));
    expect(await create(groupId)).toMatchObject(refused(409, 'group_archived'));
  });

  test('is listed page by page', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const ids: string[] = [];
    for (let each = 0; each < 3; each++) ids.push((await create(groupId)).body.invite.id);
    const first = await list(groupId, { limit: 2 });
    const second = await list(groupId, { limit: 2, cursor: first.nextCursor });
    expect([...first.invites, ...second.invites].map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(second.nextCursor).toBeNull();
  });
});

describe('an invite for one user', () => {
  test('is sent to, listed for and accepted by that user only', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const [client, stranger] = [await connectClient(server.url, guest), await signUp(server.api)];
    const { invite, code } = (await create(groupId, { userId: guest.id, role: 'admin' })).body;
    expect(code).toBeNull();
    expect(invite).toMatchObject({ userId: guest.id, role: 'admin', usesLeft: 1 });
    const received = (await client.waitFor('invite:received')).invite;
    expect(received).toMatchObject({
      id: invite.id,
      group: { id: groupId },
      role: 'admin',
      invitedBy: { id: owner.id },
    });
    const { notification } = await client.waitFor('notification:created');
    expect(notification).toMatchObject({ kind: 'invite.received', groupId, actorId: owner.id });
    expect(await mine()).toEqual([received]);
    expect(await mine(stranger)).toEqual([]);
    for (const act of [acceptMine, decline]) {
      expect(await act(invite.id, stranger)).toMatchObject(refused(404, 'not_found'));
    }
    // The group is as private as before.
    expect((await server.api.get(path(groupId), guest.token)).status).toBe(404);

    const answer = await acceptMine(invite.id);
    expect(answer).toMatchObject({ status: 200, body: { group: { id: groupId, myRole: 'admin' } } });
    expect(await client.waitFor('invite:ended')).toEqual({ inviteId: invite.id, groupId });
    expect(await mine()).toEqual([]);
    expect((await list(groupId)).invites).toEqual([]);
    expect(await acceptMine(invite.id)).toMatchObject(refused(404, 'not_found'));
    expect(await create(groupId, { userId: guest.id })).toMatchObject(refused(409, 'member_already'));
  });

  test('can be declined, revoked and created again; there is one at a time', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const first = (await create(groupId, { userId: guest.id })).body.invite;
    const second = (await create(groupId, { userId: guest.id, role: 'moderator' })).body.invite;
    expect(await mine()).toMatchObject([{ id: second.id, role: 'moderator' }]);
    expect(await acceptMine(first.id)).toMatchObject(refused(404, 'not_found'));
    expect((await decline(second.id)).status).toBe(204);
    expect(await decline(second.id)).toMatchObject(refused(404, 'not_found'));
    expect(await mine()).toEqual([]);
    const third = (await create(groupId, { userId: guest.id })).body.invite;
    const client = await connectClient(server.url, guest);
    await revoke(groupId, third.id);
    expect(await client.waitFor('invite:ended')).toMatchObject({ inviteId: third.id });
    expect(await acceptMine(third.id)).toMatchObject(refused(404, 'not_found'));
    const { body } = await server.api.get('/api/client/notifications', guest.token);
    expect(body.notifications).toEqual([]);
  });

  test('expires by time, with the group, and when the user joins in another way', async () => {
    const rooms = await Promise.all([1, 2, 3].map(() => createRoom(server.api, owner)));
    const ids: string[] = [];
    for (const { groupId } of rooms) ids.push((await create(groupId, { userId: guest.id })).body.invite.id);
    await expire(ids[0]!);
    await server.api.delete(path(rooms[1]!.groupId), owner.token);
    await server.api.post(`${path(rooms[2]!.groupId)}/members`, { userId: guest.id }, owner.token);
    expect(await mine()).toEqual([]);
    for (const id of ids) expect(await acceptMine(id)).toMatchObject(refused(404, 'not_found'));
  });

  test('from a blocked user does not notify the recipient', async () => {
    const { groupId } = await createRoom(server.api, owner);
    await server.api.call('put', `/api/users/me/blocks/${owner.id}`, { token: guest.token });
    const client = await connectClient(server.url, guest);
    expect((await create(groupId, { userId: guest.id })).status).toBe(201);
    await client.ask('message:delete', { messageId: '0'.repeat(24) });
    expect(client.events.filter(({ event }) => !event.startsWith('presence'))).toEqual([]);
  });

  test('requires an existing user', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const unknown = await create(groupId, { userId: new ObjectId().toHexString() });
    expect(unknown).toMatchObject(refused(404, 'not_found'));
  });

  test('accepted many times at once makes one member', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const { invite } = (await create(groupId, { userId: guest.id })).body;
    const answers = await Promise.all([1, 2, 3, 4].map(() => acceptMine(invite.id)));
    for (const { status } of answers) expect([200, 404]).toContain(status);
    expect(answers.some(({ status }) => status === 200)).toBe(true);
    expect((await server.api.get(path(groupId), owner.token)).body.group.memberCount).toBe(2);
  });
});
