import { ObjectId } from 'mongodb';
import type { GroupRole } from '../../../models/group.model';
import { auditOf, refused } from '../../fixtures/accounts';
import { createRoom, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';

let server: TestServer;
let owner: Person;

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin.
  ({ owner } = await signUpAll(server.api, 'root', 'owner'));
});
afterAll(() => server.close());

const path = (groupId: string) => `/api/groups/${groupId}`;
const ban = (groupId: string, who: Person, body: object = {}, by = owner) =>
  server.api.call('put', `${path(groupId)}/bans/${who.id}`, { token: by.token, body });
const unban = (groupId: string, who: Person, by = owner) =>
  server.api.delete(`${path(groupId)}/bans/${who.id}`, by.token);
const list = (groupId: string, query: object = {}, by = owner) =>
  server.api.get(`${path(groupId)}/bans`, by.token, { ...query });
const join = (groupId: string, by: Person) => server.api.post(`${path(groupId)}/join`, undefined, by.token);
const add = (groupId: string, who: Person) =>
  server.api.post(`${path(groupId)}/members`, { userId: who.id }, owner.token);
const inAnHour = () => new Date(Date.now() + 3600_000).toISOString();

/** Makes a ban expire. */
async function expire(groupId: string, who: Person): Promise<void> {
  const key = { groupId: new ObjectId(groupId), userId: new ObjectId(who.id) };
  const { groupBans } = server.context.database.collections;
  const past = { $set: { expiresAt: new Date(Date.now() - 1) } };
  expect((await groupBans.updateOne(key, past)).matchedCount).toBe(1);
}

describe('a ban from a group', () => {
  test('removes a member at once, on all devices, and tells them why', async () => {
    const [member, observer] = [await signUp(server.api), await signUp(server.api)];
    const { groupId, channelId } = await createRoom(server.api, owner, [member, observer], 'public');
    const [phone, laptop, present] = [
      await connectClient(server.url, member),
      await connectClient(server.url, member),
      await connectClient(server.url, observer),
    ];
    const answer = await ban(groupId, member, { reason: 'Spam', expiresAt: inAnHour() });
    expect(answer).toMatchObject({
      status: 200,
      body: { ban: { groupId, user: { id: member.id }, reason: 'Spam', bannedBy: owner.id } },
    });
    const message = { clientMessageId: 'after', body: 'They are gone' };
    await server.api.post(`/api/channels/${channelId}/messages`, message, owner.token);
    await present.waitForMessage(({ message: { body } }) => body === message.body);
    for (const client of [phone, laptop]) {
      const event = { channelId, clientMessageId: 'ghost', body: 'I am still here' };
      expect(await client.ask('message:send', event)).toMatchObject({
        ok: false,
        error: { code: 'not_found' },
      });
      expect(client.messages).toEqual([]);
      expect(await client.waitFor('group:removed')).toEqual({ groupId, reason: 'banned' });
      const { notification } = await client.waitFor(
        'notification:created',
        (received) => received.notification.kind === 'group.banned',
      );
      // The member does not learn who banned them.
      expect(notification).toMatchObject({ groupId, text: 'Spam', actorId: null });
    }
    expect(await present.waitFor('member:removed')).toEqual({ groupId, userId: member.id });
    expect((await server.api.get(path(groupId), owner.token)).body.group.memberCount).toBe(2);
    const [entry] = await auditOf(server, { id: groupId }, 'member.banned');
    expect(entry).toMatchObject({
      details: { userId: member.id, reason: 'Spam', until: answer.body.ban.expiresAt },
    });
  });

  test('prevents every way of joining until it is lifted', async () => {
    const banned = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner, [], 'public');
    const { code } = (await server.api.post(`${path(groupId)}/invites`, {}, owner.token)).body;
    const own = await server.api.post(`${path(groupId)}/invites`, { userId: banned.id }, owner.token);
    expect((await ban(groupId, banned)).status).toBe(200);

    const refusal = refused(403, 'banned');
    expect(await join(groupId, banned)).toMatchObject(refusal);
    expect(await add(groupId, banned)).toMatchObject(refusal);
    expect(await server.api.post('/api/invites/accept', { code }, banned.token)).toMatchObject(refusal);
    const invite = server.api.post(`${path(groupId)}/invites`, { userId: banned.id }, owner.token);
    expect(await invite).toMatchObject(refusal);
    // The ban has deleted their invite.
    const mine = `/api/client/invites/${own.body.invite.id}/accept`;
    expect(await server.api.post(mine, undefined, banned.token)).toMatchObject(refused(404, 'not_found'));
    await server.api.patch(path(groupId), { joinPolicy: 'approval' }, owner.token);
    const ask = () => server.api.post(`${path(groupId)}/join-requests`, {}, banned.token);
    expect(await ask()).toMatchObject(refusal);

    expect((await unban(groupId, banned)).status).toBe(204);
    expect((await ask()).status).toBe(201);
    expect(await unban(groupId, banned)).toMatchObject(refused(404, 'not_found'));
    const actions = (await auditOf(server, { id: groupId })).map(({ action }) => action);
    expect(actions.filter((action) => action.startsWith('member.'))).toEqual([
      'member.banned',
      'member.unbanned',
    ]);
  });

  test('deletes the join request of the user', async () => {
    const asker = await signUp(server.api);
    const input = { name: `approval ${asker.id}`, visibility: 'public', joinPolicy: 'approval' };
    const groupId: string = (await server.api.post('/api/groups', input, owner.token)).body.group.id;
    await server.api.post(`${path(groupId)}/join-requests`, {}, asker.token);
    const client = await connectClient(server.url, asker);
    await ban(groupId, asker);
    const ended = await client.waitFor('join_request:ended');
    expect(ended).toEqual({ groupId, userId: asker.id, outcome: 'lapsed' });
    const { body } = await server.api.get(`${path(groupId)}/join-requests`, owner.token);
    expect(body.joinRequests).toEqual([]);
    const approve = `${path(groupId)}/join-requests/${asker.id}/approve`;
    expect(await server.api.post(approve, undefined, owner.token)).toMatchObject(refused(403, 'banned'));
  });

  test('of a private group hides it from the banned user', async () => {
    const banned = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner, [banned]);
    await ban(groupId, banned);
    expect(await join(groupId, banned)).toMatchObject(refused(404, 'not_found'));
    expect(await server.api.get(path(groupId), banned.token)).toMatchObject(refused(404, 'not_found'));
  });

  test('ends when it expires', async () => {
    const banned = await signUp(server.api);
    const { groupId } = await createRoom(server.api, owner, [], 'public');
    await ban(groupId, banned, { expiresAt: inAnHour() });
    expect((await join(groupId, banned)).status).toBe(403);
    await expire(groupId, banned);
    expect((await list(groupId)).body.bans).toEqual([]);
    expect(await unban(groupId, banned)).toMatchObject(refused(404, 'not_found'));
    expect((await join(groupId, banned)).status).toBe(200);
  });

  test('a second time has the new reason and end, and is listed once', async () => {
    const people = [await signUp(server.api), await signUp(server.api), await signUp(server.api)];
    const { groupId } = await createRoom(server.api, owner);
    for (const person of people) await ban(groupId, person, { reason: 'First', expiresAt: inAnHour() });
    await ban(groupId, people[0]!, { reason: 'Second' });
    const first = (await list(groupId, { limit: 2 })).body;
    const second = (await list(groupId, { limit: 2, cursor: first.nextCursor })).body;
    const bans = [...first.bans, ...second.bans] as {
      user: { id: string };
      reason: string;
      expiresAt: string | null;
    }[];
    expect(bans.map(({ user }) => user.id)).toEqual(people.map(({ id }) => id));
    expect(bans[0]).toMatchObject({ reason: 'Second', expiresAt: null });
    expect(bans[1]).toMatchObject({ reason: 'First', expiresAt: expect.any(String) });
  });

  test.each([
    { expiresAt: '2020-01-01T00:00:00Z' },
    { expiresAt: 'tomorrow' },
    { reason: 'x'.repeat(501) },
    { until: 1 },
  ])('is refused with %j', async (body) => {
    const { groupId } = await createRoom(server.api, owner);
    expect(await ban(groupId, owner, body)).toMatchObject(refused(400, 'validation_failed'));
  });

  test('of oneself, of the last owner, or of an unknown user is refused', async () => {
    const { groupId } = await createRoom(server.api, owner);
    expect(await ban(groupId, owner)).toMatchObject(refused(400, 'bad_request'));
    const unknown = { ...owner, id: new ObjectId().toHexString() };
    expect(await ban(groupId, unknown)).toMatchObject(refused(404, 'not_found'));
    expect((await list(groupId)).body.bans).toEqual([]);
  });

  // Rows are those who ban, columns those who are banned.
  const roles: GroupRole[] = ['owner', 'admin', 'moderator', 'member'];
  const may: Record<GroupRole, string> = { owner: '1111', admin: '0011', moderator: '0001', member: '0000' };
  test.each(roles)('by a %s applies to lower roles', async (by) => {
    const { groupId } = await createRoom(server.api, owner);
    const take = async (role: GroupRole) => {
      const person = await signUp(server.api, role);
      await add(groupId, person);
      if (role !== 'member') {
        await server.api.patch(`${path(groupId)}/members/${person.id}`, { role }, owner.token);
      }
      return person;
    };
    const actor = await take(by);
    const done: string[] = [];
    for (const role of roles) {
      const answer = await ban(groupId, await take(role), {}, actor);
      if (answer.status !== 200) expect(answer).toMatchObject(refused(403, 'forbidden'));
      done.push(answer.status === 200 ? '1' : '0');
    }
    expect(done.join('')).toBe(may[by]);
  });

  test('that fails midway changes nothing, and the member still receives events', async () => {
    const member = await signUp(server.api);
    const { groupId, channelId } = await createRoom(server.api, owner, [member]);
    const client = await connectClient(server.url, member);
    const { collections } = server.context.database;
    const { auditLog } = collections;
    collections.auditLog = {
      ...auditLog,
      insertOne: () => Promise.reject(new Error('The disk is on fire.')),
    };
    expect(await ban(groupId, member)).toMatchObject(refused(500, 'internal_error'));
    collections.auditLog = auditLog;
    expect((await list(groupId)).body.bans).toEqual([]);
    expect((await server.api.get(path(groupId), member.token)).body.group.memberCount).toBe(2);
    const message = { clientMessageId: 'still-here', body: 'Hello' };
    await server.api.post(`/api/channels/${channelId}/messages`, message, owner.token);
    await client.waitForMessage(({ message: { body } }) => body === 'Hello');
    const events = client.events.map(({ event }) => event).filter((event) => !event.startsWith('presence'));
    expect(events).toEqual(['message:created']);
  });

  test('at the same time as joining leaves no banned user in the group', async () => {
    for (let round = 0; round < 5; round++) {
      const person = await signUp(server.api);
      const { groupId } = await createRoom(server.api, owner, [], 'public');
      const answers = await Promise.all([join(groupId, person), ban(groupId, person), add(groupId, person)]);
      expect(answers[1].status).toBe(200);
      const group = await server.api.get(path(groupId), person.token);
      expect(group.body.group).toMatchObject({ myRole: null, memberCount: 1 });
    }
  });
});
