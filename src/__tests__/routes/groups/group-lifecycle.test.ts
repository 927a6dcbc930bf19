import { randomUUID } from 'node:crypto';
import { auditOf, refused } from '../../fixtures/accounts';
import { storedOf } from '../../fixtures/groups';
import { createRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;
let member: Person;
let outsider: Person;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin.
  ({ owner, member, outsider } = await signUpAll(server.api, 'root', 'owner', 'member', 'outsider'));
});
afterAll(() => server.close());

const path = (groupId: string) => `/api/groups/${groupId}`;
const get = (groupId: string, by: Person) => server.api.get(path(groupId), by.token);
const update = (groupId: string, change: object, by = owner) =>
  server.api.patch(path(groupId), change, by.token);
const act = (groupId: string, what: 'archive' | 'restore', by = owner) =>
  server.api.post(`${path(groupId)}/${what}`, undefined, by.token);
const remove = (groupId: string, by = owner) => server.api.delete(path(groupId), by.token);
const send = (channelId: string, by = owner) =>
  server.api.post(
    `/api/channels/${channelId}/messages`,
    { clientMessageId: randomUUID(), body: 'Hello' },
    by.token,
  );

describe('updating a group', () => {
  test('changes only the given fields, and its members are notified', async () => {
    const { groupId } = await createRoom(server.api, owner, [member]);
    const client = await connectClient(server.url, member);
    const before = (await get(groupId, owner)).body.group;
    const name = randomUUID();
    const answer = await update(groupId, { name, description: 'What we do', joinPolicy: 'approval' });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        group: {
          name,
          description: 'What we do',
          joinPolicy: 'approval',
          visibility: 'private',
          myRole: 'owner',
        },
      },
    });
    expect(answer.body.group).toMatchObject({ memberCount: 2, channelCount: 1, createdAt: before.createdAt });
    const { myRole: _, ...shared } = answer.body.group;
    expect((await client.waitFor('group:updated')).group).toEqual(shared);
    expect((await get(groupId, member)).body.group).toEqual({ ...shared, myRole: 'member' });
  });

  test('refuses a name that another group has, and changes nothing then', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const name = randomUUID();
    await server.api.post('/api/groups', { name, visibility: 'private' }, owner.token);
    const before = await storedOf(server, groupId);
    const taken = await update(groupId, { name: name.toUpperCase(), visibility: 'public' });
    expect(taken).toMatchObject(refused(409, 'group_name_taken'));
    expect(await storedOf(server, groupId)).toEqual(before);
    // A group may use its own name in another spelling.
    const { body } = await get(groupId, owner);
    expect((await update(groupId, { name: body.group.name.toUpperCase() })).status).toBe(200);
  });

  test.each([{}, { name: '' }, { visibility: 'secret' }, { memberCount: 7 }, { archivedAt: null }])(
    'refuses %j',
    async (change) => {
      const { groupId } = await createRoom(server.api, owner);
      expect(await update(groupId, change)).toMatchObject(refused(400, 'validation_failed'));
    },
  );
});

describe('discovering groups', () => {
  const discover = async (query: object, by = outsider) => {
    const { status, body } = await server.api.get('/api/groups/discover', by.token, { ...query });
    expect(status).toBe(200);
    return body as {
      groups: { id: string; name: string; myRole: string | null }[];
      nextCursor: string | null;
    };
  };
  const create = async (name: string, visibility = 'public', description = '') =>
    (await server.api.post('/api/groups', { name, visibility, description }, owner.token)).body.group
      .id as string;
  const names = async (query: object) => (await discover(query)).groups.map(({ name }) => name);

  test('lists public groups page by page in the order of their names, and never private ones', async () => {
    // Groups of other tests are in the list as well.
    const word = `w${randomUUID().slice(0, 8)}`;
    for (const name of ['Zebra', 'apple', 'Äpfel', 'Banana']) await create(`${name} ${word}`);
    const secret = await create(`Aardvark ${word}`, 'private');
    const all: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof discover>> = await discover({
        limit: 2,
        ...(cursor && { cursor }),
      });
      all.push(...page.groups.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor);
    expect(new Set(all).size).toBe(all.length);
    const expected = ['Äpfel', 'apple', 'Banana', 'Zebra'].map((name) => `${name} ${word}`);
    expect(all.filter((name) => name.includes(word))).toEqual(expected);
    expect(await names({ query: word })).toEqual(expected);
    expect(await names({ query: `aard ${word}` })).toEqual([]);
    // Its owner finds it in the list of their own groups instead.
    expect((await discover({ query: word }, owner)).groups.map(({ id }) => id)).not.toContain(secret);
  });

  test('searches words by prefix in name and description, ignoring case and accents', async () => {
    const word = `w${randomUUID().slice(0, 8)}`;
    await create(`Café Paris ${word}`, 'public', 'Où l’on parle de tout');
    for (const query of [
      word,
      word.slice(0, 5),
      `${word} cafe`,
      `par ${word}`,
      `PARLE ${word}`,
      `ou ${word}`,
    ]) {
      expect([query, await names({ query })]).toEqual([query, [`Café Paris ${word}`]]);
    }
    for (const query of [
      `aris ${word}`,
      `${word} London`,
      `${word}x`,
      '!!!',
      `${word} .*`.replace('.*', 'z'),
    ]) {
      expect([query, await names({ query })]).toEqual([query, []]);
    }
  });

  test('reflects changes of a group', async () => {
    const word = `w${randomUUID().slice(0, 8)}`;
    const groupId = await create(`Chess ${word}`);
    const found = () => names({ query: word });
    expect(await discover({ query: word }, owner)).toMatchObject({
      groups: [{ id: groupId, myRole: 'owner' }],
    });
    await update(groupId, { name: `Go ${word}` });
    expect(await found()).toEqual([`Go ${word}`]);
    expect(await names({ query: `chess ${word}` })).toEqual([]);
    await act(groupId, 'archive');
    expect(await found()).toEqual([]);
    await act(groupId, 'restore');
    expect(await found()).toEqual([`Go ${word}`]);
    await update(groupId, { visibility: 'private' });
    expect(await found()).toEqual([]);
    expect(await get(groupId, outsider)).toMatchObject(refused(404, 'not_found'));
    await update(groupId, { visibility: 'public' });
    expect(await found()).toEqual([`Go ${word}`]);
    await remove(groupId);
    expect(await found()).toEqual([]);
  });

  test('refuses a malformed cursor', async () => {
    const answer = await server.api.get('/api/groups/discover', outsider.token, { cursor: '../..' });
    expect(answer).toMatchObject(refused(400, 'validation_failed'));
  });
});

describe('archiving a group', () => {
  test('makes it read-only until it is restored', async () => {
    const { groupId, channelId } = await createRoom(server.api, owner, [member], 'public');
    const client = await connectClient(server.url, member);
    await send(channelId);
    const answer = await act(groupId, 'archive');
    expect(answer).toMatchObject({ status: 200, body: { group: { archivedAt: expect.any(String) } } });
    await client.waitFor('group:updated', ({ group }) => group.archivedAt === answer.body.group.archivedAt);
    // A second time changes nothing.
    expect((await act(groupId, 'archive')).body).toEqual(answer.body);

    const archived = refused(409, 'group_archived');
    expect(await send(channelId, member)).toMatchObject(archived);
    expect(await update(groupId, { name: 'x' })).toMatchObject(archived);
    expect(await server.api.post(`${path(groupId)}/join`, undefined, outsider.token)).toMatchObject(archived);
    const invite = server.api.post(`${path(groupId)}/members`, { userId: outsider.id }, owner.token);
    expect(await invite).toMatchObject(archived);
    const channel = server.api.post('/api/channels', { groupId, name: 'new' }, owner.token);
    expect(await channel).toMatchObject(archived);
    const history = await server.api.get(`/api/channels/${channelId}/messages`, member.token);
    expect(history.body.messages).toHaveLength(1);

    expect((await act(groupId, 'restore')).body.group.archivedAt).toBeNull();
    expect((await send(channelId, member)).status).toBe(201);
    const actions = (await auditOf(server, { id: groupId })).map(({ action }) => action);
    expect(actions.filter((action) => action.startsWith('group.'))).toEqual([
      'group.archived',
      'group.restored',
    ]);
  });

  test('still allows members to leave', async () => {
    const { groupId } = await createRoom(server.api, owner, [member]);
    await act(groupId, 'archive');
    expect((await server.api.post(`${path(groupId)}/leave`, undefined, member.token)).status).toBe(204);
  });
});
