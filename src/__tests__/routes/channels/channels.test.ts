import { ObjectId } from 'mongodb';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let owner: Person;
let guest: Person;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin and may do everything.
  ({ owner, guest } = await signUpAll(server.api, 'root', 'owner', 'guest'));
});
afterAll(() => server.close());

const room = () => createRoom(server.api, owner, [guest]);
const create = (body: object, by = owner) => server.api.post('/api/channels', body, by.token);
const get = (channelId: string, by: Person) => server.api.get(`/api/channels/${channelId}`, by.token);
const patch = (channelId: string, body: object, by = owner) =>
  server.api.patch(`/api/channels/${channelId}`, body, by.token);
const send = (channelId: string, by: Person, clientMessageId = new ObjectId().toHexString()) =>
  server.api.post(`/api/channels/${channelId}/messages`, { clientMessageId, body: 'hello' }, by.token);
const list = async (groupId: string, by: Person, query = {}) =>
  (await server.api.get('/api/channels', by.token, { groupId, ...query })).body;
const names = async (groupId: string, by: Person) =>
  (await list(groupId, by)).channels.map(({ name }: { name: string }) => name);
const refused = (status: number, code: string) => ({ status, body: { error: { code } } });

async function createPrivate(groupId: string, name = 'inner'): Promise<string> {
  const { status, body } = await create({ groupId, name, visibility: 'private' });
  expect(status).toBe(201);
  return body.channel.id;
}
const take = (channelId: string, person: Person, by = owner) =>
  server.api.post(`/api/channels/${channelId}/members`, { userId: person.id }, by.token);
const expel = (channelId: string, person: Person, by = owner) =>
  server.api.delete(`/api/channels/${channelId}/members/${person.id}`, by.token);

describe('creating a channel', () => {
  it('creates an empty public channel', async () => {
    const { groupId } = await room();
    const { status, body } = await create({ groupId, name: ' Ideas ', topic: 'what next' });
    expect(status).toBe(201);
    expect(body.channel).toMatchObject({
      groupId,
      name: 'Ideas',
      topic: 'what next',
      visibility: 'public',
      createdBy: owner.id,
      seq: 0,
      revision: 0,
    });
    expect((await get(body.channel.id, guest)).body).toEqual(body);
  });

  it('refuses a name that exists in the group in any case, and accepts it in another group', async () => {
    const { groupId } = await room();
    expect(await create({ groupId, name: 'GENERAL' })).toMatchObject(refused(409, 'channel_name_taken'));
    // `createRoom` creates a channel called general in each group.
    expect((await room()).groupId).not.toBe(groupId);
    const answers = await Promise.all(Array.from({ length: 6 }, () => create({ groupId, name: 'wanted' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array<number>(5).fill(409)]);
  });

  it('leaves no member of a private channel behind when the name is refused', async () => {
    const { groupId } = await room();
    const answer = await create({ groupId, name: 'general', visibility: 'private' });
    expect(answer).toMatchObject(refused(409, 'channel_name_taken'));
    const { channelMembers } = server.context.database.collections;
    expect(await channelMembers.countDocuments({ groupId: new ObjectId(groupId) })).toBe(0);
  });

  it.each<[string, object]>([
    ['no group', { groupId: undefined }],
    ['a malformed group', { groupId: { $ne: null } }],
    ['no name', { name: undefined }],
    ['a blank name', { name: '  ' }],
    ['a name of 81 characters', { name: 'x'.repeat(81) }],
    ['a topic of 501 characters', { topic: 'x'.repeat(501) }],
    ['an unknown visibility', { visibility: 'hidden' }],
    ['a sequence number', { seq: 10 }],
  ])('refuses %s', async (_, wrong) => {
    const { groupId } = await room();
    const answer = await create({ groupId, name: 'valid', ...wrong });
    expect(answer).toMatchObject(refused(400, 'validation_failed'));
  });
});

describe('the channels of a group', () => {
  it('are listed page by page, without private channels of which the caller is not a member', async () => {
    const { groupId } = await room();
    await createPrivate(groupId, 'for the owner');
    const forBoth = await createPrivate(groupId, 'for both');
    await take(forBoth, guest);
    await create({ groupId, name: 'last' });
    expect(await names(groupId, owner)).toEqual(['general', 'for the owner', 'for both', 'last']);
    expect(await names(groupId, guest)).toEqual(['general', 'for both', 'last']);
    const first = await list(groupId, guest, { limit: 2 });
    const second = await list(groupId, guest, { limit: 2, cursor: first.nextCursor });
    expect([first.channels.length, second.channels.length, second.nextCursor]).toEqual([2, 1, null]);
    expect(second.channels[0].name).toBe('last');
  });
});

describe('changing a channel', () => {
  it('changes only the given fields, and takes the next revision', async () => {
    const { channelId } = await room();
    const before = (await get(channelId, owner)).body.channel;
    const { status, body } = await patch(channelId, { topic: 'new topic' });
    expect(status).toBe(200);
    expect(body.channel).toEqual({
      ...before,
      topic: 'new topic',
      revision: before.revision + 1,
      updatedAt: expect.any(String),
    });
    expect((await patch(channelId, { name: 'General' })).body.channel).toMatchObject({
      name: 'General',
      topic: 'new topic',
      revision: before.revision + 2,
    });
  });

  it('refuses the name of another channel', async () => {
    const { groupId, channelId } = await room();
    await create({ groupId, name: 'other' });
    expect(await patch(channelId, { name: 'OTHER' })).toMatchObject(refused(409, 'channel_name_taken'));
    expect(await names(groupId, owner)).toEqual(['general', 'other']);
  });

  it.each([{}, { name: '' }, { topic: null }, { groupId: '0'.repeat(24) }, { seq: 0 }, { $set: { seq: 0 } }])(
    'refuses %j',
    async (body) => {
      const { channelId } = await room();
      expect(await patch(channelId, body)).toMatchObject(refused(400, 'validation_failed'));
    },
  );
});

describe('a private channel', () => {
  it('is visible only to its members, not to others in the group with any role', async () => {
    const { groupId } = await room();
    const channelId = await createPrivate(groupId);
    expect(await get(channelId, guest)).toMatchObject(refused(404, 'not_found'));
    expect(await send(channelId, guest)).toMatchObject(refused(404, 'not_found'));
    expect((await take(channelId, guest)).status).toBe(204);
    expect((await take(channelId, guest)).status).toBe(204);
    expect((await send(channelId, guest)).status).toBe(201);
    const { notifications } = (await server.api.get('/api/client/notifications', guest.token)).body;
    const about = notifications.filter((one: any) => one.channelId === channelId);
    expect(about).toMatchObject([{ kind: 'channel.added', actorId: owner.id, groupId }]);
    // The creator may leave, too, and is not a member then although they own the group.
    expect((await expel(channelId, owner)).status).toBe(204);
    expect(await get(channelId, owner)).toMatchObject(refused(404, 'not_found'));
    expect((await get(channelId, guest)).status).toBe(200);
  });

  it('can be left by its members, and members can be removed by those who manage it, once', async () => {
    const { groupId } = await room();
    const channelId = await createPrivate(groupId);
    await take(channelId, guest);
    expect(await expel(channelId, owner, guest)).toMatchObject(refused(403, 'forbidden'));
    expect((await expel(channelId, guest, guest)).status).toBe(204);
    expect(await expel(channelId, guest, guest)).toMatchObject(refused(404, 'not_found'));
    expect(await expel(channelId, guest, owner)).toMatchObject(refused(404, 'not_found'));
    expect(await send(channelId, guest)).toMatchObject(refused(404, 'not_found'));
  });

  it('accepts only members of the group; a public channel accepts no members', async () => {
    const { groupId, channelId } = await room();
    const stranger = await signUp(server.api);
    expect(await take(await createPrivate(groupId), stranger)).toMatchObject(refused(400, 'bad_request'));
    expect(await take(channelId, guest)).toMatchObject(refused(400, 'bad_request'));
  });

  it('that was public keeps its creator and the user who closed it as members', async () => {
    const { groupId, channelId } = await room();
    await send(channelId, guest);
    expect((await patch(channelId, { visibility: 'private' })).status).toBe(200);
    expect(await get(channelId, guest)).toMatchObject(refused(404, 'not_found'));
    expect(await names(groupId, guest)).toEqual([]);
    expect((await get(channelId, owner)).status).toBe(200);
    // Making it private again removes nobody.
    await take(channelId, guest);
    await patch(channelId, { visibility: 'private' });
    expect((await get(channelId, guest)).status).toBe(200);
  });

  it('can be opened to the whole group', async () => {
    const { groupId } = await room();
    const channelId = await createPrivate(groupId);
    await patch(channelId, { visibility: 'public' });
    expect((await send(channelId, guest)).status).toBe(201);
    // Earlier members do not count when it becomes private again.
    await patch(channelId, { visibility: 'private' });
    expect(await get(channelId, guest)).toMatchObject(refused(404, 'not_found'));
  });
});
