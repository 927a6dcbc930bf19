import { randomUUID } from 'node:crypto';
import { ObjectId } from 'mongodb';
import { auditOf, refused } from '../../fixtures/accounts';
import { nameOf, setGroupAvatar } from '../../fixtures/images';
import { storedOf } from '../../fixtures/groups';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

let server: TestServer;
let root: Person;
let owner: Person;
let member: Person;
let outsider: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ root, owner, member, outsider } = await signUpAll(server.api, 'root', 'owner', 'member', 'outsider'));
});
afterAll(() => server.close());

const collections = () => server.context.database.collections;
const path = (groupId: string) => `/api/groups/${groupId}`;
const get = (groupId: string, by: Person) => server.api.get(path(groupId), by.token);
const remove = (groupId: string, by = owner) => server.api.delete(path(groupId), by.token);
const send = (channelId: string, by = owner) =>
  server.api.post(
    `/api/channels/${channelId}/messages`,
    { clientMessageId: randomUUID(), body: 'Hello' },
    by.token,
  );

describe('deleting a group', () => {
  test('removes everything, and no further event about it is sent', async () => {
    const { groupId, channelId } = await createRoom(server.api, owner, [member], 'public');
    const inner = await server.api.post(
      '/api/channels',
      { groupId, name: 'inner', visibility: 'private' },
      owner.token,
    );
    const innerId: string = inner.body.channel.id;
    await server.api.post(`/api/channels/${innerId}/members`, { userId: member.id }, owner.token);
    await send(channelId);
    await send(innerId);
    const avatar = nameOf((await setGroupAvatar(server.api, owner, groupId)).body.group.avatarUrl);
    const { name } = (await get(groupId, owner)).body.group;
    const [phone, laptop, own] = [
      await connectClient(server.url, member),
      await connectClient(server.url, member),
      await connectClient(server.url, owner),
    ];

    const group = await collections().groups.findOne({ _id: new ObjectId(groupId) });
    const channel = await collections().channels.findOne({ _id: new ObjectId(innerId) });
    expect((await remove(groupId)).status).toBe(204);
    for (const client of [phone, laptop, own]) {
      expect(await client.waitFor('group:removed')).toEqual({ groupId, reason: 'deleted' });
    }
    for (const client of [phone, laptop]) {
      const { notification, unread } = await client.waitFor('notification:created');
      expect(notification).toMatchObject({ kind: 'group.deleted', groupId, actorId: owner.id, text: name });
      expect(unread).toBe(
        await collections().notifications.countDocuments({ userId: new ObjectId(member.id), readAt: null }),
      );
    }
    for (const person of [owner, member, outsider]) {
      expect(await get(groupId, person)).toMatchObject(refused(404, 'not_found'));
    }
    for (const id of [channelId, innerId]) {
      expect(await send(id)).toMatchObject(refused(404, 'not_found'));
      const event = { channelId: id, clientMessageId: randomUUID(), body: 'Still here?' };
      expect(await phone.ask('message:send', event)).toMatchObject({
        ok: false,
        error: { code: 'not_found' },
      });
    }
    // Later events about the group have no recipients.
    const { bus } = server.context;
    await bus.publish({ type: 'group.updated', group: { ...group!, name: 'To nobody' } });
    await bus.publish({ type: 'channel.updated', channel: { ...channel!, name: 'To nobody' } });
    for (const client of [phone, laptop, own]) {
      await client.ask('message:delete', { messageId: '0'.repeat(24) });
      expect(JSON.stringify(client.events)).not.toContain('To nobody');
    }

    const { memberships, channels, channelMembers, channelReads, messages } = collections();
    const _id = new ObjectId(groupId);
    expect(await memberships.countDocuments({ groupId: _id })).toBe(0);
    expect(await channels.countDocuments({ groupId: _id })).toBe(0);
    expect(await channelMembers.countDocuments({ groupId: _id })).toBe(0);
    const channelIds = { $in: [channelId, innerId].map((id) => new ObjectId(id)) };
    expect(await channelReads.countDocuments({ channelId: channelIds })).toBe(0);
    await until(async () => (await messages.countDocuments({ channelId: channelIds })) === 0);
    await until(async () => (await server.api.get(`/uploads/avatars/${avatar}`)).status === 404);
    const [entry] = await auditOf(server, { id: groupId }, 'group.deleted');
    expect(entry).toMatchObject({ details: { name, members: '2' } });
    expect(entry!.actorId!.toHexString()).toBe(owner.id);
    // The name is available again.
    expect((await server.api.post('/api/groups', { name, visibility: 'public' }, owner.token)).status).toBe(
      201,
    );
  });

  // Each of these is one of the last steps, so that everything before it must be rolled back.
  test.each(['auditLog', 'notifications', 'channelReads'] as const)(
    'that fails at %s changes nothing and sends no event',
    async (at) => {
      const { groupId, channelId } = await createRoom(server.api, owner, [member], 'public');
      await send(channelId);
      const client = await connectClient(server.url, member);
      const before = await storedOf(server, groupId);
      const collection = collections()[at] as {
        insertOne: unknown;
        insertMany: unknown;
        deleteMany: unknown;
      };
      const fail = () => Promise.reject(new Error('The disk is on fire.'));
      const name = at === 'auditLog' ? 'insertOne' : at === 'notifications' ? 'insertMany' : 'deleteMany';
      const broken = new Proxy(collection, {
        get: (target, key) => (key === name ? fail : (Reflect.get(target, key) as unknown)),
      });
      (collections() as unknown as Record<string, unknown>)[at] = broken;
      expect(await remove(groupId)).toMatchObject(refused(500, 'internal_error'));
      (collections() as unknown as Record<string, unknown>)[at] = collection;

      expect(await storedOf(server, groupId)).toEqual(before);
      expect((await send(channelId, member)).status).toBe(201);
      await client.waitForMessage(({ message }) => message.senderId === member.id);
      expect(
        client.events.filter(({ event }) => event.startsWith('group') || event.startsWith('channel')),
      ).toEqual([]);
      expect((await remove(groupId)).status).toBe(204);
    },
  );

  test('while users join and send messages leaves nothing behind', async () => {
    const people = await Promise.all(Array.from({ length: 6 }, () => signUp(server.api)));
    const { groupId, channelId } = await createRoom(server.api, owner, [member], 'public');
    const answers = await Promise.all([
      ...people.map((person) => server.api.post(`${path(groupId)}/join`, undefined, person.token)),
      ...people.map(() => send(channelId, member)),
      remove(groupId),
      ...people.map((_, index) =>
        server.api.post('/api/channels', { groupId, name: `c${index}`, visibility: 'private' }, owner.token),
      ),
      remove(groupId),
    ]);
    for (const { status } of answers) expect([200, 201, 204, 404]).toContain(status);
    expect(answers.filter(({ status }) => status === 204)).toHaveLength(1);
    const { memberships, channels, channelMembers } = collections();
    for (const each of [memberships, channels, channelMembers]) {
      expect(await (each as typeof memberships).countDocuments({ groupId: new ObjectId(groupId) })).toBe(0);
    }
  });

  test('twice takes effect once', async () => {
    const { groupId } = await createRoom(server.api, owner);
    const answers = await Promise.all([remove(groupId), remove(groupId), remove(groupId)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([204, 404, 404]);
    expect(await auditOf(server, { id: groupId }, 'group.deleted')).toHaveLength(1);
  });

  test('that belongs to others, by a super admin, is in the audit log as such', async () => {
    const { groupId } = await createRoom(server.api, owner);
    expect((await remove(groupId, root)).status).toBe(204);
    const entries = (await auditOf(server, { id: groupId })).map(({ action, actorId, details }) => [
      action,
      actorId!.toHexString(),
      details['action'],
    ]);
    expect(entries).toEqual([
      ['super_admin.entered', root.id, 'group.delete'],
      ['group.deleted', root.id, undefined],
    ]);
  });
});

describe('a group whose last member deletes the account', () => {
  const leave = ({ token }: Person) =>
    server.api.call('delete', '/api/users/me', { token, body: { password: PASSWORD } });

  test('is deleted too, and groups with other members continue', async () => {
    const leaver = await signUp(server.api, 'leaver');
    const alone = await createRoom(server.api, leaver);
    await send(alone.channelId, leaver);
    const other = await createRoom(server.api, owner, [leaver]);
    const input = { groupId: other.groupId, name: 'inner', visibility: 'private' };
    const inner = `/api/channels/${(await server.api.post('/api/channels', input, owner.token)).body.channel.id}`;
    await server.api.post(`${inner}/members`, { userId: leaver.id }, owner.token);
    const client = await connectClient(server.url, owner);

    expect((await leave(leaver)).status).toBe(204);
    expect(await client.waitFor('member:removed')).toEqual({ groupId: other.groupId, userId: leaver.id });
    expect(await get(alone.groupId, root)).toMatchObject(refused(404, 'not_found'));
    expect(await collections().channels.countDocuments({ groupId: new ObjectId(alone.groupId) })).toBe(0);
    expect((await get(other.groupId, owner)).body.group.memberCount).toBe(1);
    expect((await server.api.get(inner, owner.token)).body.channel.memberCount).toBe(1);
    expect(await auditOf(server, { id: alone.groupId }, 'group.deleted')).toHaveLength(1);
  });

  test('is unchanged when the deletion of the account is refused in the end', async () => {
    const leaver = await signUp(server.api, 'leaver');
    const alone = await createRoom(server.api, leaver);
    const before = await storedOf(server, alone.groupId);
    const { oneTimeTokens } = collections();
    const broken = new Proxy(oneTimeTokens, {
      get: (target, key) =>
        key === 'deleteMany' ? () => Promise.reject(new Error('No')) : (Reflect.get(target, key) as unknown),
    });
    collections().oneTimeTokens = broken;
    expect((await leave(leaver)).status).toBe(500);
    collections().oneTimeTokens = oneTimeTokens;
    expect(await storedOf(server, alone.groupId)).toEqual(before);
    expect((await get(alone.groupId, leaver)).status).toBe(200);
  });
});
