import { randomUUID } from 'node:crypto';
import { auditOf, refused } from '../../fixtures/accounts';
import type { Api } from '../../fixtures/api';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';

let server: TestServer;
let api: Api;
let root: Person;
let owner: Person;
let member: Person;
let groupId: string;
let channelId: string;

beforeAll(async () => {
  server = await startTestServer();
  ({ api } = server);
  ({ root, owner, member } = await signUpAll(api, 'root', 'owner', 'member'));
});
beforeEach(async () => {
  ({ groupId, channelId } = await createRoom(api, owner, [member]));
});
afterAll(() => server.close());

const get = (path: string, query = {}, by = root) => api.get(`/api/admin/${path}`, by.token, query);
const act = (name: string, body?: object, by = root) =>
  api.post(`/api/admin/groups/${groupId}/${name}`, body, by.token);
const idsOf = (rows: { id: string }[]) => rows.map(({ id }) => id);

async function pagesOf(what: 'groups' | 'channels', query: object): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | undefined; ;) {
    const { status, body } = await get(what, { ...query, ...(cursor && { cursor }) });
    expect(status).toBe(200);
    ids.push(...idsOf(body[what]));
    if (body.nextCursor === null) return ids;
    cursor = body.nextCursor;
  }
}

describe('the list of groups', () => {
  it('includes private groups, newest first, and has pages', async () => {
    const other = await createRoom(api, owner, [], 'public');
    const ids = await pagesOf('groups', { limit: 1 });
    expect(ids.slice(0, 2)).toEqual([other.groupId, groupId]);
    expect(ids.length).toBe(await server.context.database.collections.groups.countDocuments());
    expect(await pagesOf('groups', { visibility: 'public' })).not.toContain(groupId);
    await act('archive');
    expect(await pagesOf('groups', { archived: 'true', visibility: 'private' })).toContain(groupId);
    expect(await pagesOf('groups', { archived: 'false' })).not.toContain(groupId);
  });

  it('is searchable by the beginning of a name', async () => {
    const names = ['Éclair club', 'eclair Two', 'eclipse'].map((name) => `${name} ${randomUUID()}`);
    const ids: string[] = [];
    for (const name of names) {
      const { body } = await api.post('/api/groups', { name, visibility: 'private' }, owner.token);
      ids.push(body.group.id);
    }
    expect(await pagesOf('groups', { query: 'ECL', limit: 1 })).toEqual(ids);
    expect(await pagesOf('groups', { query: 'écl', archived: 'true' })).toEqual([]);
  });
});

describe('inspecting a group', () => {
  it('shows its owners and counts', async () => {
    await api.post('/api/channels', { groupId, name: 'secret', visibility: 'private' }, owner.token);
    const message = { clientMessageId: randomUUID(), body: 'Hello' };
    const sent = await api.post(`/api/channels/${channelId}/messages`, message, owner.token);
    await api.post(`/api/messages/${sent.body.message.id}/report`, { category: 'spam' }, member.token);
    const { body } = await get(`groups/${groupId}`);
    expect(body).toMatchObject({
      group: { id: groupId, visibility: 'private' },
      owners: [{ id: owner.id }],
      counts: { members: 2, publicChannels: 1, privateChannels: 1, messages: 1, bans: 0, waitingReports: 1 },
    });
    expect(await get(`groups/${'0'.repeat(24)}`)).toMatchObject(refused(404, 'not_found'));
    expect(await get(`groups/${groupId}`, {}, owner)).toMatchObject(refused(403, 'forbidden'));
  });
});

describe('a super admin who is not a member', () => {
  it('archives and restores a group, and its members are notified', async () => {
    const socket = await connect(server.url, member.token);
    expect((await act('archive')).body.group.archivedAt).not.toBeNull();
    await socket.waitFor('group:updated', ({ group }) => group.archivedAt !== null);
    const message = { clientMessageId: randomUUID(), body: 'Hello' };
    const send = () => api.post(`/api/channels/${channelId}/messages`, message, member.token);
    expect(await send()).toMatchObject(refused(409, 'group_archived'));
    expect((await act('restore')).body.group.archivedAt).toBeNull();
    expect((await send()).status).toBe(201);
    socket.close();
  });

  it('transfers a group to a user who was not in it', async () => {
    const successor = await signUp(api, 'heir');
    expect((await act('transfer', { userId: successor.id })).body.group.memberCount).toBe(3);
    const { body } = await api.get(`/api/groups/${groupId}/members`, successor.token);
    const roles = Object.fromEntries(body.members.map((one: any) => [one.userId, one.role]));
    expect(roles).toEqual({ [owner.id]: 'admin', [member.id]: 'member', [successor.id]: 'owner' });
    expect(await act('transfer', { userId: '0'.repeat(24) })).toMatchObject(refused(404, 'not_found'));
    expect(await act('transfer', { userId: member.id }, owner)).toMatchObject(refused(403, 'forbidden'));
  });

  it('deletes a group with all its content', async () => {
    const socket = await connect(server.url, member.token);
    const path = `/api/admin/groups/${groupId}`;
    expect((await api.delete(path, root.token)).status).toBe(204);
    await socket.waitFor('group:removed', (payload) => payload.groupId === groupId);
    expect(await get(`groups/${groupId}`)).toMatchObject(refused(404, 'not_found'));
    expect(await get(`channels/${channelId}`)).toMatchObject(refused(404, 'not_found'));
    expect(await api.delete(path, root.token)).toMatchObject(refused(404, 'not_found'));
    socket.close();
  });
});

describe('a super admin who does not belong to a channel', () => {
  const path = () => `/api/admin/channels/${channelId}`;
  const post = (name: string, body?: object, by = root) => api.post(`${path()}/${name}`, body, by.token);
  const send = (by = member) =>
    api.post(
      `/api/channels/${channelId}/messages`,
      { clientMessageId: randomUUID(), body: 'Hello' },
      by.token,
    );

  it('archives and restores it, and its readers are notified', async () => {
    const socket = await connect(server.url, member.token);
    expect((await post('archive')).body.channel.archivedAt).not.toBeNull();
    await socket.waitFor('channel:updated', ({ channel }) => channel.archivedAt !== null);
    expect(await send()).toMatchObject(refused(409, 'channel_archived'));
    expect((await post('restore')).body.channel.archivedAt).toBeNull();
    await socket.waitFor('channel:updated', ({ channel }) => channel.archivedAt === null);
    expect((await send()).status).toBe(201);
    socket.close();
  });

  it('deletes it with its messages, and no further events about it are sent', async () => {
    const devices = await Promise.all([connect(server.url, member.token), connect(server.url, member.token)]);
    await send();
    expect((await api.delete(path(), root.token)).status).toBe(204);
    for (const device of devices) {
      await device.waitFor('channel:removed', (payload) => payload.channelId === channelId);
      device.close();
    }
    expect(await send()).toMatchObject(refused(404, 'not_found'));
    expect(await api.delete(path(), root.token)).toMatchObject(refused(404, 'not_found'));
    expect((await get(`groups/${groupId}`)).body.counts).toMatchObject({ publicChannels: 0, messages: 0 });
  });

  it('gives a private channel another owner when nobody in it may manage it any more', async () => {
    const secret = { groupId, name: 'secret', visibility: 'private' };
    ({
      channel: { id: channelId },
    } = (await api.post('/api/channels', secret, owner.token)).body);
    await api.delete(`/api/channels/${channelId}/members/${owner.id}`, owner.token);
    expect(await api.patch(`/api/channels/${channelId}`, { topic: 'x' }, owner.token)).toMatchObject(
      refused(404, 'not_found'),
    );
    expect((await post('transfer', { userId: member.id })).body.channel.ownerId).toBe(member.id);
    const topic = { topic: 'Mine' };
    expect((await api.patch(`/api/channels/${channelId}`, topic, member.token)).status).toBe(200);
    expect((await get(`channels/${channelId}`)).body.members).toMatchObject([{ id: member.id }]);
    const entries = await auditOf(server, { id: channelId }, 'channel.transferred');
    expect(entries).toMatchObject([{ details: { from: owner.id, to: member.id } }]);
  });

  it('may change channels of groups, but not direct messages', async () => {
    const { body } = await api.post('/api/direct-messages', { userIds: [member.id] }, owner.token);
    channelId = body.conversation.channel.id;
    expect(body.conversation.channel.ownerId).toBeNull();
    for (const name of ['archive', 'restore']) {
      expect(await post(name)).toMatchObject(refused(409, 'direct_channel'));
    }
    const successor = { userId: member.id };
    expect(await post('transfer', successor)).toMatchObject(refused(409, 'direct_channel'));
    expect(await api.delete(path(), root.token)).toMatchObject(refused(409, 'direct_channel'));
    expect((await send()).status).toBe(201);
  });
});

describe('the list of channels', () => {
  it('contains those of all groups or of one, is searchable by name, and pages through equal names', async () => {
    const other = await createRoom(api, owner);
    const secret = await api.post(
      '/api/channels',
      { groupId, name: 'Genesis', visibility: 'private' },
      owner.token,
    );
    const { id } = secret.body.channel;
    expect((await pagesOf('channels', { limit: 2 })).slice(0, 3)).toEqual([id, other.channelId, channelId]);
    expect(await pagesOf('channels', { groupId })).toEqual([id, channelId]);
    expect(await pagesOf('channels', { groupId, visibility: 'private' })).toEqual([id]);
    expect(await pagesOf('channels', { query: 'GENES' })).toEqual([id]);
    const general = await pagesOf('channels', { query: 'general', limit: 1 });
    expect(general).toEqual(expect.arrayContaining([channelId, other.channelId]));
    expect(new Set(general).size).toBe(general.length);
    expect((await get(`channels/${id}`)).body).toMatchObject({
      channel: { id },
      members: [{ id: owner.id }],
      counts: { messages: 0, restrictions: 0 },
    });
  });
});
