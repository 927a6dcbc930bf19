import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import type { GroupRole } from '../../../models/group.model';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let owner: Person;
let guest: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ owner, guest } = await signUpAll(server.api, 'owner', 'guest'));
});
afterAll(() => server.close());

const create = (body: object, by = owner) => server.api.post('/api/groups', body, by.token);
const createPublic = async () =>
  (await create({ name: randomUUID(), visibility: 'public' })).body.group.id as string;
const get = (groupId: string, by: Person) => server.api.get(`/api/groups/${groupId}`, by.token);
const members = (groupId: string, by: Person, query = {}) =>
  server.api.get(`/api/groups/${groupId}/members`, by.token, query);
const join = (groupId: string, by: Person) =>
  server.api.post(`/api/groups/${groupId}/join`, undefined, by.token);
const leave = (groupId: string, by: Person) =>
  server.api.post(`/api/groups/${groupId}/leave`, undefined, by.token);
const remove = (groupId: string, who: Person, by: Person) =>
  server.api.delete(`/api/groups/${groupId}/members/${who.id}`, by.token);
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });

/** Written to the database directly: roles are the subject of other tests. */
async function setRole(groupId: string, person: Person, role: GroupRole): Promise<void> {
  const { memberships } = server.context.database.collections;
  const key = { groupId: new ObjectId(groupId), userId: new ObjectId(person.id) };
  expect((await memberships.updateOne(key, { $set: { role } })).matchedCount).toBe(1);
}

/** Checks that the count in the group equals a recount. */
async function expectTrueCount(groupId: string): Promise<void> {
  const { body } = await get(groupId, owner);
  const list = await members(groupId, owner, { limit: 200 });
  expect(body.group.memberCount).toBe(list.body.members.length);
}

describe('creating a group', () => {
  it('makes the creator the owner and only member', async () => {
    const { status, body } = await create({ name: '  Chess  club ', visibility: 'private' });
    expect(status).toBe(201);
    expect(body.group).toMatchObject({
      name: 'Chess  club',
      description: '',
      visibility: 'private',
      createdBy: owner.id,
      memberCount: 1,
      myRole: 'owner',
    });
    expect((await get(body.group.id, owner)).body).toEqual(body);
    expect((await members(body.group.id, owner)).body.members).toMatchObject([
      { userId: owner.id, role: 'owner', user: { id: owner.id, username: owner.username } },
    ]);
  });

  it('refuses a name that is taken in any spelling', async () => {
    await create({ name: 'Café', visibility: 'private' });
    for (const name of ['Café', 'CAFÉ', ' café ', 'Cafe\u0301']) {
      const answer = await create({ name, visibility: 'public' }, guest);
      expect(answer).toMatchObject(refused(409, 'group_name_taken'));
    }
    expect((await create({ name: 'Cafe', visibility: 'public' }, guest)).status).toBe(201);
    // The refused requests left no membership behind.
    const mine = await server.api.get('/api/groups', guest.token);
    expect(mine.body.groups.map(({ name }: { name: string }) => name)).toEqual(['Cafe']);
  });

  it('succeeds once when many use the same name at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => create({ name: 'wanted', visibility: 'public' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(7).fill(409)]);
  });

  it.each<[string, object]>([
    ['no name', { name: undefined }],
    ['a blank name', { name: ' \u00a0 ' }],
    ['a name of 81 characters', { name: 'x'.repeat(81) }],
    ['a name with a control character', { name: 'a\u0007' }],
    ['a name that is a lone surrogate', { name: '\ud800' }],
    ['no visibility', { visibility: undefined }],
    ['an unknown visibility', { visibility: 'secret' }],
    ['a description of 1001 characters', { description: 'x'.repeat(1001) }],
    ['a member count', { memberCount: 1000 }],
  ])('refuses %s', async (_, wrong) => {
    const answer = await create({ name: randomUUID(), visibility: 'public', ...wrong });
    expect(answer).toMatchObject(refused(400, 'validation_failed'));
  });
});

describe('the groups of the caller', () => {
  it('are those of which the caller is a member, with the role, page by page', async () => {
    const me = await signUp(server.api);
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) {
      const by = index % 2 ? owner : me;
      const { body } = await create({ name: randomUUID(), visibility: 'public' }, by);
      if (by === owner) await join(body.group.id, me);
      ids.push(body.group.id);
    }
    await createPublic();
    const pages: { id: string; myRole: string }[][] = [];
    let cursor: string | null | undefined;
    do {
      const { body } = await server.api.get('/api/groups', me.token, { limit: 2, ...(cursor && { cursor }) });
      pages.push(body.groups);
      cursor = body.nextCursor;
    } while (cursor);
    expect(pages.map((page) => page.length)).toEqual([2, 2, 1]);
    expect(pages.flat().map(({ id }) => id)).toEqual(ids);
    expect(pages.flat().map(({ myRole }) => myRole)).toEqual(['owner', 'member', 'owner', 'member', 'owner']);
    const exact = await server.api.get('/api/groups', me.token, { limit: 5 });
    expect([exact.body.groups.length, exact.body.nextCursor]).toEqual([5, null]);
  });
});

describe('joining and leaving', () => {
  it('is possible in a public group, and a repetition changes nothing', async () => {
    const groupId = await createPublic();
    expect((await get(groupId, guest)).body.group).toMatchObject({ myRole: null, memberCount: 1 });
    for (let round = 0; round < 2; round++) {
      const joined = await join(groupId, guest);
      expect(joined).toMatchObject({ status: 200, body: { group: { myRole: 'member', memberCount: 2 } } });
    }
    expect((await join(groupId, owner)).body.group.myRole).toBe('owner');
    const left = await leave(groupId, guest);
    expect([left.status, left.body]).toEqual([204, {}]);
    expect(await leave(groupId, guest)).toMatchObject(refused(403, 'not_a_member'));
    expect((await get(groupId, guest)).body.group).toMatchObject({ myRole: null, memberCount: 1 });
  });

  it('keeps the count exact when everyone joins and leaves at once', async () => {
    const groupId = await createPublic();
    const users = await Promise.all(Array.from({ length: 12 }, () => signUp(server.api, 'crowd')));
    const joins = await Promise.all([...users, ...users].map((person) => join(groupId, person)));
    expect(new Set(joins.map(({ status }) => status))).toEqual(new Set([200]));
    expect((await get(groupId, owner)).body.group.memberCount).toBe(13);
    await expectTrueCount(groupId);

    const leavers = users.slice(0, 6);
    const late = await Promise.all(Array.from({ length: 4 }, () => signUp(server.api, 'late')));
    const answers = await Promise.all([
      ...[...leavers, ...leavers].map((person) => leave(groupId, person)),
      ...leavers.map((person) => remove(groupId, person, owner)),
      ...late.map((person) => join(groupId, person)),
    ]);
    expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
    expect((await get(groupId, owner)).body.group.memberCount).toBe(11);
    await expectTrueCount(groupId);
  });

  it('is refused to the last owner', async () => {
    const { groupId } = await createRoom(server.api, owner, [guest]);
    expect(await leave(groupId, owner)).toMatchObject(refused(409, 'last_owner'));
    expect(await remove(groupId, owner, owner)).toMatchObject(refused(409, 'last_owner'));
    await setRole(groupId, guest, 'owner');
    // Both try to leave; one has to remain.
    const answers = await Promise.all([leave(groupId, owner), leave(groupId, guest)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 409]);
    const remaining = answers[0].status === 409 ? owner : guest;
    expect((await get(groupId, remaining)).body.group).toMatchObject({ myRole: 'owner', memberCount: 1 });
  });
});

describe('with GROUP_CREATION=group_admins', () => {
  let restricted: TestServer;
  let root: Person;

  beforeAll(async () => {
    restricted = await startTestServer({ GROUP_CREATION: 'group_admins' });
    root = await signUp(restricted.api, 'root');
  });
  afterAll(() => restricted.close());

  const createAs = ({ token }: Person) =>
    restricted.api.post('/api/groups', { name: randomUUID(), visibility: 'public' }, token);
  const setGlobalRole = async ({ id }: Person, role: string) => {
    const { status } = await restricted.api.patch(`/api/admin/users/${id}/role`, { role }, root.token);
    expect(status).toBe(200);
  };

  test('a client cannot create groups, and can as soon as they have the role', async () => {
    const client = await signUp(restricted.api, 'client');
    expect(await createAs(client)).toMatchObject(refused(403, 'forbidden'));
    expect(await restricted.context.database.collections.groups.countDocuments()).toBe(0);
    await setGlobalRole(client, 'group_admin');
    expect((await createAs(client)).status).toBe(201);
    await setGlobalRole(client, 'client');
    expect(await createAs(client)).toMatchObject(refused(403, 'forbidden'));
    expect((await createAs(root)).status).toBe(201);
  });

  test('a client can still join groups, and manage one that was transferred to them', async () => {
    const client = await signUp(restricted.api, 'client');
    const groupId: string = (await createAs(root)).body.group.id;
    expect((await restricted.api.post(`/api/groups/${groupId}/join`, undefined, client.token)).status).toBe(
      200,
    );
    await restricted.context.database.collections.memberships.updateOne(
      { groupId: new ObjectId(groupId), userId: new ObjectId(client.id) },
      { $set: { role: 'owner' } },
    );
    const channel = { groupId, name: 'general' };
    expect((await restricted.api.post('/api/channels', channel, client.token)).status).toBe(201);
  });
});
