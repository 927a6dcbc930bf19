import { ObjectId } from 'mongodb';
import { refused } from '../../fixtures/accounts';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let admin: Person;
let owner: Person;
let member: Person;
let stranger: Person;
let room: { groupId: string; channelId: string };

beforeAll(async () => {
  server = await startTestServer();
  [admin, owner, member, stranger] = await Promise.all([
    signUp(server.api, 'root'),
    signUp(server.api, 'owner'),
    signUp(server.api, 'member'),
    signUp(server.api, 'stranger'),
  ]);
  room = await createRoom(server.api, owner, [member]);
  // The first account is super admin; the test creates one explicitly.
  const { users } = server.context.database.collections;
  await users.updateMany({}, { $set: { role: 'client' } });
  await users.updateOne({ _id: new ObjectId(admin.id) }, { $set: { role: 'super_admin' } });
  for (const { id } of [admin, owner, member, stranger]) {
    await server.context.bus.publish({ type: 'user.changed', userId: new ObjectId(id) });
  }
});
afterAll(() => server.close());

async function explain(person: Person, action: string, resource?: string, more: object = {}) {
  const query = { userId: person.id, action, ...(resource && { resource }), ...more };
  const { status, body } = await server.api.get('/api/admin/permissions/explain', admin.token, query);
  expect(status).toBe(200);
  return body;
}

describe('a permission check by a super admin', () => {
  it('reports the rule that refuses an action, and its error code', async () => {
    expect(await explain(stranger, 'channel.read', `channel:${room.channelId}`)).toMatchObject({
      allowed: false,
      rule: 'channel_is_hidden',
      code: 'not_found',
    });
    expect(await explain(member, 'group.update', `group:${room.groupId}`)).toMatchObject({
      allowed: false,
      rule: 'role_admin_in_the_group',
      code: 'forbidden',
    });
    const subject = { subjectId: owner.id };
    expect(await explain(member, 'member.remove', `group:${room.groupId}`, subject)).toMatchObject({
      allowed: false,
    });
  });

  it('reports what permits an action, and what only a super admin may do', async () => {
    expect(await explain(member, 'message.send', `channel:${room.channelId}`)).toMatchObject({
      allowed: true,
      code: null,
      overrides: null,
    });
    expect(await explain(admin, 'group.delete', `group:${room.groupId}`)).toMatchObject({
      allowed: true,
      rule: 'super_admin',
      overrides: 'private_group_is_hidden',
    });
    expect(await explain(stranger, 'group.create')).toMatchObject({ allowed: true });
  });

  it('predicts the answers of the API', async () => {
    const { api } = server;
    const attempts: [string, string, (person: Person) => Promise<{ status: number; body: any }>][] = [
      ['group.read', `group:${room.groupId}`, ({ token }) => api.get(`/api/groups/${room.groupId}`, token)],
      [
        'group.list_members',
        `group:${room.groupId}`,
        ({ token }) => api.get(`/api/groups/${room.groupId}/members`, token),
      ],
      [
        'channel.update',
        `channel:${room.channelId}`,
        ({ token }) => api.patch(`/api/channels/${room.channelId}`, { topic: 'Why' }, token),
      ],
    ];
    for (const person of [admin, owner, member, stranger]) {
      for (const [action, resource, attempt] of attempts) {
        const { allowed, code } = await explain(person, action, resource);
        const { status, body } = await attempt(person);
        expect([person.username, action, status < 400, body.error?.code ?? null]).toEqual([
          person.username,
          action,
          allowed,
          code,
        ]);
      }
    }
  });

  it('returns a clear error for unknown users, groups and actions', async () => {
    const ask = (query: object) =>
      server.api.get('/api/admin/permissions/explain', admin.token, { userId: member.id, ...query });
    expect(await ask({ action: 'group.fly' })).toMatchObject(refused(400, 'validation_failed'));
    expect(await ask({ action: 'group.read' })).toMatchObject(refused(400, 'validation_failed'));
    expect(await ask({ action: 'group.read', resource: `group:${'0'.repeat(24)}` })).toMatchObject(
      refused(404, 'not_found'),
    );
    expect(await ask({ action: 'group.read', resource: 'group:x' })).toMatchObject(
      refused(400, 'validation_failed'),
    );
  });
});
