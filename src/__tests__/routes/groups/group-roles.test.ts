import { auditOf, refused } from '../../fixtures/accounts';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';
import type { GroupRole } from '../../../models/group.model';

let server: TestServer;
let root: Person;
let owner: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ root, owner } = await signUpAll(server.api, 'root', 'owner'));
});
afterAll(() => server.close());

const give = (groupId: string, who: Person, role: string, by = owner) =>
  server.api.patch(`/api/groups/${groupId}/members/${who.id}`, { role }, by.token);
const transfer = (groupId: string, to: Person, by = owner) =>
  server.api.post(`/api/groups/${groupId}/transfer`, { userId: to.id }, by.token);
const leave = (groupId: string, by: Person) =>
  server.api.post(`/api/groups/${groupId}/leave`, undefined, by.token);

async function rolesIn(groupId: string): Promise<Record<string, GroupRole>> {
  const { body } = await server.api.get(`/api/groups/${groupId}/members`, owner.token, { limit: 200 });
  const members = body.members as { user: { username: string }; role: GroupRole }[];
  return Object.fromEntries(members.map(({ user, role }) => [user.username, role]));
}

/** A user with a role in a group, given by its owner. */
async function join(groupId: string, role: GroupRole): Promise<Person> {
  const person = await signUp(server.api, role);
  await server.api.post(`/api/groups/${groupId}/members`, { userId: person.id }, owner.token);
  if (role !== 'member') expect((await give(groupId, person, role)).status).toBe(200);
  return person;
}

describe('a change of role in a group', () => {
  test('is sent to the members, notified to the user, and written to the audit log', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const [subject, other] = [await join(groupId, 'member'), await join(groupId, 'member')];
    const [own, bystander] = [
      await connectClient(server.url, subject),
      await connectClient(server.url, other),
    ];
    const answer = await give(groupId, subject, 'moderator');
    expect(answer).toMatchObject({
      status: 200,
      body: { member: { userId: subject.id, role: 'moderator' } },
    });
    const payload = { groupId, member: answer.body.member };
    expect(await own.waitFor('member:updated')).toEqual(payload);
    expect(await bystander.waitFor('member:updated')).toEqual(payload);
    const { notification } = await own.waitFor('notification:created');
    expect(notification).toMatchObject({
      kind: 'group.role_changed',
      groupId,
      text: 'moderator',
      actorId: owner.id,
    });
    const mine = await server.api.get(`/api/groups/${groupId}`, subject.token);
    expect(mine.body.group.myRole).toBe('moderator');

    // The same role again is not a change.
    expect((await give(groupId, subject, 'moderator')).body).toEqual(answer.body);
    const entries = await auditOf(server, { id: groupId }, 'member.role_changed');
    expect(entries.map(({ details }) => details)).toEqual([
      { userId: subject.id, from: 'member', to: 'moderator' },
    ]);
    const list = await server.api.get('/api/client/notifications', subject.token);
    const kinds = list.body.notifications.map(({ kind }: { kind: string }) => kind);
    expect(kinds).toEqual(['group.role_changed', 'group.added']);
  });

  // Who may give which role: 1 may, 0 may not. Columns are the given roles.
  const given: GroupRole[] = ['owner', 'admin', 'moderator', 'member'];
  const cells: [by: GroupRole, to: GroupRole, may: string][] = [
    ['owner', 'owner', '1111'],
    ['owner', 'admin', '1111'],
    ['owner', 'member', '1111'],
    ['admin', 'owner', '0000'],
    ['admin', 'admin', '0000'],
    ['admin', 'moderator', '0011'],
    ['admin', 'member', '0011'],
    ['moderator', 'member', '0000'],
    ['member', 'member', '0000'],
  ];

  test.each(cells)('by a %s to a %s', async (by, to, may) => {
    const { groupId } = await createRoom(server.api, owner);
    const actor = await join(groupId, by);
    const subject = await join(groupId, to);
    const allowed: string[] = [];
    for (const role of given) {
      const answer = await give(groupId, subject, role, actor);
      if (answer.status !== 200) expect(answer).toMatchObject(refused(403, 'forbidden'));
      allowed.push(answer.status === 200 ? '1' : '0');
      await give(groupId, subject, to);
    }
    expect(allowed.join('')).toBe(may);
  });

  test('of oneself is possible only downwards, and not for the last owner', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const admin = await join(groupId, 'admin');
    const moderator = await join(groupId, 'moderator');
    expect(await give(groupId, moderator, 'admin', moderator)).toMatchObject(refused(403, 'forbidden'));
    expect((await give(groupId, moderator, 'member', moderator)).status).toBe(200);
    expect(await give(groupId, admin, 'owner', admin)).toMatchObject(refused(403, 'forbidden'));
    expect((await give(groupId, admin, 'moderator', admin)).status).toBe(200);
    expect(await give(groupId, owner, 'admin')).toMatchObject(refused(409, 'last_owner'));
    expect((await give(groupId, admin, 'owner')).status).toBe(200);
    expect((await give(groupId, owner, 'member')).status).toBe(200);
    expect(await give(groupId, admin, 'member', admin)).toMatchObject(refused(409, 'last_owner'));
    // Users are not notified of their own actions.
    const { body } = await server.api.get('/api/client/notifications', moderator.token);
    expect(body.notifications.map(({ text }: { text: string }) => text)).not.toContain('member');
  });

  test('of a user who is not in the group is refused', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const stranger = await signUp(server.api);
    expect(await give(groupId, stranger, 'admin')).toMatchObject(refused(404, 'not_found'));
    expect(await give(groupId, owner, 'king')).toMatchObject(refused(400, 'validation_failed'));
    expect(await rolesIn(groupId)).toEqual({ [owner.username]: 'owner' });
  });

  test('is reflected by the role filter of the member list', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const admins = [await join(groupId, 'admin'), await join(groupId, 'admin'), await join(groupId, 'admin')];
    await join(groupId, 'member');
    const list = (query: object) =>
      server.api.get(`/api/groups/${groupId}/members`, owner.token, { ...query });
    const first = (await list({ role: 'admin', limit: 2 })).body;
    const second = (await list({ role: 'admin', limit: 2, cursor: first.nextCursor })).body;
    const ids = [...first.members, ...second.members].map(({ userId }: { userId: string }) => userId);
    expect(ids).toEqual(admins.map(({ id }) => id));
    expect(second.nextCursor).toBeNull();
    expect(await list({ role: 'king' })).toMatchObject(refused(400, 'validation_failed'));
  });

  test('at the same time as others always leaves one owner', async () => {
    for (let round = 0; round < 4; round++) {
      const { groupId } = await createRoom(server.api, owner);
      const second = await join(groupId, 'owner');
      const answers = await Promise.all([
        round % 2 ? leave(groupId, second) : give(groupId, second, 'member', second),
        give(groupId, owner, 'admin', owner),
      ]);
      const failed = answers.filter(({ status }) => status >= 300);
      expect(failed).toMatchObject([refused(409, 'last_owner')]);
      expect(Object.values(await rolesIn(groupId)).filter((role) => role === 'owner')).toHaveLength(1);
    }
  });
});

describe('transferring a group', () => {
  test('makes the other user the owner and the former owner an admin, in one step', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const successor = await join(groupId, 'member');
    const client = await connectClient(server.url, successor);
    const answer = await transfer(groupId, successor);
    expect(answer).toMatchObject({ status: 200, body: { group: { id: groupId, myRole: 'admin' } } });
    expect(await rolesIn(groupId)).toEqual({ [owner.username]: 'admin', [successor.username]: 'owner' });
    const isOf = (id: string) => (payload: { member: { userId: string } }) => payload.member.userId === id;
    expect((await client.waitFor('member:updated', isOf(successor.id))).member.role).toBe('owner');
    expect((await client.waitFor('member:updated', isOf(owner.id))).member.role).toBe('admin');
    const { notification } = await client.waitFor('notification:created');
    expect(notification).toMatchObject({ kind: 'group.role_changed', text: 'owner', groupId });
    const [entry] = await auditOf(server, { id: groupId }, 'group.transferred');
    expect(entry).toMatchObject({ details: { to: successor.id } });
    expect(await transfer(groupId, successor)).toMatchObject(refused(403, 'forbidden'));
    expect((await leave(groupId, owner)).status).toBe(204);
  });

  test('leaves other owners unchanged, unless a super admin transfers the group', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const [partner, successor] = [await join(groupId, 'owner'), await join(groupId, 'moderator')];
    expect((await transfer(groupId, successor)).status).toBe(200);
    expect(await rolesIn(groupId)).toEqual({
      [owner.username]: 'admin',
      [partner.username]: 'owner',
      [successor.username]: 'owner',
    });
    expect(await transfer(groupId, owner, root)).toMatchObject({
      status: 200,
      body: { group: { myRole: null } },
    });
    expect(await rolesIn(groupId)).toEqual({
      [owner.username]: 'owner',
      [partner.username]: 'admin',
      [successor.username]: 'admin',
    });
  });

  test('to oneself changes nothing, and to an outsider is refused', async () => {
    const { groupId } = await createRoom(server.api, owner);
    expect((await transfer(groupId, owner)).status).toBe(200);
    const stranger = await signUp(server.api);
    expect(await transfer(groupId, stranger)).toMatchObject(refused(404, 'not_found'));
    expect(await rolesIn(groupId)).toEqual({ [owner.username]: 'owner' });
  });

  test('that fails midway keeps the old owner and notifies nobody', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const successor = await join(groupId, 'member');
    const client = await connectClient(server.url, successor);
    const before = await rolesIn(groupId);
    const { collections } = server.context.database;
    const { auditLog } = collections;
    collections.auditLog = {
      ...auditLog,
      insertOne: () => Promise.reject(new Error('The disk is on fire.')),
    };
    expect(await transfer(groupId, successor)).toMatchObject(refused(500, 'internal_error'));
    collections.auditLog = auditLog;
    expect(await rolesIn(groupId)).toEqual(before);
    await client.ask('message:delete', { messageId: '0'.repeat(24) });
    expect(client.events.filter(({ event }) => !event.startsWith('presence'))).toEqual([]);
    expect((await transfer(groupId, successor)).status).toBe(200);
  });

  test('to two users at once is refused for the second', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const successors = [await join(groupId, 'member'), await join(groupId, 'member')];
    const answers = await Promise.all(successors.map((successor) => transfer(groupId, successor)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 403]);
    expect(Object.values(await rolesIn(groupId)).filter((role) => role === 'owner')).toHaveLength(1);
  });
});
