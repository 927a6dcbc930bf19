import { ObjectId } from 'mongodb';
import type { GroupRole } from '../../../models/group.model';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let owner: Person;

beforeAll(async () => {
  server = await startTestServer();
  owner = await signUp(server.api, 'owner');
});
afterAll(() => server.close());

const list = (groupId: string, by: Person, query = {}) =>
  server.api.get(`/api/groups/${groupId}/members`, by.token, query);
const add = (groupId: string, userId: string, by = owner) =>
  server.api.post(`/api/groups/${groupId}/members`, { userId }, by.token);
const remove = (groupId: string, userId: string, by = owner) =>
  server.api.delete(`/api/groups/${groupId}/members/${userId}`, by.token);
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });

/** Written to the database directly: roles are the subject of other tests. */
async function setRole(groupId: string, person: Person, role: GroupRole): Promise<void> {
  const { memberships } = server.context.database.collections;
  const key = { groupId: new ObjectId(groupId), userId: new ObjectId(person.id) };
  expect((await memberships.updateOne(key, { $set: { role } })).matchedCount).toBe(1);
}

describe('the members of a group', () => {
  it('are listed page by page in the order in which they joined', async () => {
    const people = await Promise.all(Array.from({ length: 4 }, () => signUp(server.api)));
    const { groupId } = await createRoom(server.api, owner, people);
    const first = await list(groupId, people[0]!, { limit: 3 });
    const second = await list(groupId, people[0]!, { limit: 3, cursor: first.body.nextCursor });
    const ids = [...first.body.members, ...second.body.members].map(({ userId }) => userId);
    expect(first.body.members).toHaveLength(3);
    expect(second.body.nextCursor).toBeNull();
    expect(ids).toEqual([owner.id, ...people.map(({ id }) => id)]);
  });

  it.each(['0', '201', '-1', '1.5', 'ten', ''])('cannot be listed with the page size %j', async (limit) => {
    const { groupId } = await createRoom(server.api, owner);
    expect(await list(groupId, owner, { limit })).toMatchObject(refused(400, 'validation_failed'));
  });
});

describe('adding a user', () => {
  it('makes them a member once; a repetition returns the existing membership', async () => {
    const guest = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner);
    const first = await add(groupId, guest.id);
    expect(first).toMatchObject({
      status: 201,
      body: { member: { userId: guest.id, role: 'member', user: { username: guest.username } } },
    });
    await setRole(groupId, guest, 'admin');
    const second = await add(groupId, guest.id.toUpperCase());
    expect(second).toMatchObject({ status: 200, body: { member: { userId: guest.id, role: 'admin' } } });
    expect((await list(groupId, guest)).body.members).toHaveLength(2);
  });

  it('counts one member for many concurrent requests', async () => {
    const guest = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner);
    const answers = await Promise.all(Array.from({ length: 8 }, () => add(groupId, guest.id)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(7).fill(200), 201]);
    const { body } = await server.api.get(`/api/groups/${groupId}`, guest.token);
    expect(body.group.memberCount).toBe(2);
  });

  it('requires an existing user', async () => {
    const { groupId } = await createRoom(server.api, owner);
    expect(await add(groupId, new ObjectId().toHexString())).toMatchObject(refused(404, 'not_found'));
    const everybody = { userId: { $ne: null } };
    const path = `/api/groups/${groupId}/members`;
    expect(await server.api.post(path, everybody, owner.token)).toMatchObject(
      refused(400, 'validation_failed'),
    );
  });
});

describe('removing a user', () => {
  it('who is not a member changes nothing', async () => {
    const guest = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner);
    expect(await remove(groupId, guest.id)).toMatchObject(refused(404, 'not_found'));
    expect((await server.api.get(`/api/groups/${groupId}`, owner.token)).body.group.memberCount).toBe(1);
  });

  it('who removes themselves is leaving', async () => {
    const guest = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner, [guest]);
    expect((await remove(groupId, guest.id, guest)).status).toBe(204);
    expect(await list(groupId, guest)).toMatchObject(refused(404, 'not_found'));
  });

  it('who joins again gives access to the history, but not to former private channels', async () => {
    const guest = await signUp(server.api);
    const { groupId, channelId } = await createRoom(server.api, owner, [guest]);
    const { body } = await server.api.post(
      '/api/channels',
      { groupId, name: 'inner circle', visibility: 'private' },
      owner.token,
    );
    const inner = `/api/channels/${body.channel.id}`;
    expect((await server.api.post(`${inner}/members`, { userId: guest.id }, owner.token)).status).toBe(204);
    expect((await server.api.get(inner, guest.token)).status).toBe(200);
    await remove(groupId, guest.id);
    await add(groupId, guest.id);
    expect((await server.api.get(`/api/channels/${channelId}`, guest.token)).status).toBe(200);
    expect((await server.api.get(inner, guest.token)).status).toBe(404);
  });

  // Rows are those who remove, columns those who are removed. An owner may remove anyone, an admin only lower roles.
  const roles: GroupRole[] = ['owner', 'admin', 'moderator', 'member'];
  const allowed: Record<GroupRole, GroupRole[]> = {
    owner: ['owner', 'admin', 'moderator', 'member'],
    admin: ['moderator', 'member'],
    moderator: [],
    member: [],
  };
  const cells = roles.flatMap((by) =>
    roles.map((target) => ({ by, target, may: allowed[by].includes(target) })),
  );

  it.each(cells)('a $target by a $by: $may', async ({ by, target, may }) => {
    const [actor, victim] = [await signUp(server.api, by), await signUp(server.api, target)];
    const { groupId } = await createRoom(server.api, owner, [actor, victim]);
    await setRole(groupId, actor, by);
    await setRole(groupId, victim, target);
    const answer = await remove(groupId, victim.id, actor);
    if (may) expect(answer.status).toBe(204);
    else expect(answer).toMatchObject(refused(403, 'forbidden'));
    const left = (await list(groupId, owner)).body.members.map(({ userId }: { userId: string }) => userId);
    expect(left.includes(victim.id)).toBe(!may);
  });
});
