import { auditOf, refused } from '../../fixtures/accounts';
import { callForRoom, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connectClient } from '../../fixtures/sockets';

/** The text of a blocked user, in every possible field. */
const WORDS = 'Xyzzy';
/** How often one user may notify another in an hour. */
const PER_HOUR = 20;

let server: TestServer;
let root: Person;
let owner: Person;
let ada: Person;
let mallory: Person;

beforeAll(async () => {
  server = await startTestServer({ THROTTLE_ENABLED: 'true' });
  // The first account is super admin.
  ({ root, owner } = await signUpAll(server.api, 'root', 'owner'));
  // The first write to a collection creates it, which makes open transactions conflict.
  await done(root, 'patch', '/api/client/preferences', { invisible: false });
});
beforeEach(async () => {
  ({ ada, mallory } = await signUpAll(server.api, 'ada', 'mallory'));
});
afterAll(() => server.close());

type Method = 'post' | 'put' | 'patch' | 'delete';

/** Makes a call that must succeed. */
async function done(by: Person, method: Method, path: string, body?: object): Promise<any> {
  const answer = await server.api.call(method, path, { token: by.token, body });
  expect([path, answer.status < 300, answer.body.error]).toEqual([path, true, undefined]);
  return answer.body;
}
const block = (by: Person, whom: Person) => done(by, 'put', `/api/users/me/blocks/${whom.id}`);
const unblock = (by: Person, whom: Person) => done(by, 'delete', `/api/users/me/blocks/${whom.id}`);
const add = (groupId: string, whom: Person, by: Person) =>
  server.api.post(`/api/groups/${groupId}/members`, { userId: whom.id }, by.token);
const invite = (groupId: string, whom: Person, by: Person) =>
  server.api.post(`/api/groups/${groupId}/invites`, { userId: whom.id }, by.token);
const ban = (groupId: string, whom: Person, by: Person, reason = WORDS) =>
  done(by, 'put', `/api/groups/${groupId}/bans/${whom.id}`, { reason });
const notificationsOf = async (person: Person): Promise<any[]> =>
  (await server.api.get('/api/client/notifications', person.token)).body.notifications;
const kindsOf = async (person: Person) => (await notificationsOf(person)).map(({ kind }) => kind);
const inviteOnly = (person: Person) =>
  done(person, 'patch', '/api/client/preferences', { groupAdditions: 'invite_only' });
const ownGroup = async (by: Person): Promise<string> =>
  (await done(by, 'post', '/api/groups', { name: `${WORDS} ${by.username}`, visibility: 'private' })).group
    .id;
const CONSENT_REQUIRED = refused(403, 'consent_required');

/** Creates a group of the owner in which Mallory has a role and Ada is a member. */
async function quietRoom(role: string, visibility: 'public' | 'private' = 'public') {
  const room = await callForRoom(server.api, owner, [ada, mallory], visibility);
  await done(owner, 'patch', `/api/groups/${room.groupId}/members/${mallory.id}`, { role });
  return room;
}

describe('the texts of a blocked user', () => {
  it('do not reach the user who blocked them by any group, invite, ban or request', async () => {
    const groupId = await ownGroup(mallory);
    const { groupId: adasGroup } = await callForRoom(server.api, ada, [], 'public');
    await done(ada, 'patch', `/api/groups/${adasGroup}`, { joinPolicy: 'approval' });
    await block(ada, mallory);
    const client = await connectClient(server.url, ada);

    expect(await add(groupId, ada, mallory)).toMatchObject(CONSENT_REQUIRED);
    expect((await invite(groupId, ada, mallory)).status).toBe(201);
    await ban(groupId, ada, mallory);
    await done(mallory, 'delete', `/api/groups/${groupId}/bans/${ada.id}`);
    expect((await invite(groupId, ada, mallory)).status).toBe(201);
    await done(mallory, 'post', `/api/groups/${adasGroup}/join-requests`, { note: WORDS });
    const together = { userIds: [ada.id, owner.id] };
    const conversation = await server.api.post('/api/direct-messages', together, mallory.token);
    expect(conversation).toMatchObject(refused(403, 'direct_messages_closed'));

    // A later event has arrived.
    const room = await callForRoom(server.api, owner, [ada]);
    await client.waitFor('group:added', ({ group }) => group.id === room.groupId);
    const bans = client.events.filter(({ event }) => !event.startsWith('presence'));
    expect(bans.filter(({ payload }) => !JSON.stringify(payload).includes(room.groupId))).toEqual([]);
    expect(await kindsOf(ada)).toEqual(['group.added']);
    expect((await server.api.get('/api/client/invites', ada.token)).body.invites).toEqual([]);
    const overview = await server.api.get('/api/client/overview', ada.token);
    expect(JSON.stringify(overview.body)).not.toContain(WORDS);
    // Ada has to decide as an admin, and finds the request in the list.
    const queue = await server.api.get(`/api/groups/${adasGroup}/join-requests`, ada.token);
    expect(queue.body.joinRequests).toMatchObject([{ user: { id: mallory.id }, note: WORDS }]);

    await unblock(ada, mallory);
    const shown = await server.api.get('/api/client/invites', ada.token);
    expect(shown.body.invites).toMatchObject([{ group: { id: groupId } }]);
  });

  it('are left out of the notifications about moderation, which are sent nevertheless', async () => {
    const { groupId, channelId } = await quietRoom('admin');
    const other = await callForRoom(server.api, owner, [mallory], 'public');
    await done(owner, 'patch', `/api/groups/${other.groupId}/members/${mallory.id}`, { role: 'admin' });
    await done(owner, 'patch', `/api/groups/${other.groupId}`, { joinPolicy: 'approval' });
    await done(ada, 'post', `/api/groups/${other.groupId}/join-requests`, {});
    const sent = { clientMessageId: 'one', body: 'Hello' };
    const { message } = await done(ada, 'post', `/api/channels/${channelId}/messages`, sent);
    const { report } = await done(owner, 'post', `/api/messages/${message.id}/report`, { category: 'spam' });
    await block(ada, mallory);
    const client = await connectClient(server.url, ada);

    const restriction = `/api/channels/${channelId}/restrictions/${ada.id}`;
    await done(mallory, 'post', `/api/reports/${report.id}/claim`);
    await done(mallory, 'post', `/api/reports/${report.id}/resolve`, { action: 'warn', reason: WORDS });
    await done(mallory, 'put', restriction, { kind: 'muted', reason: WORDS });
    const summary = () => server.api.get(`/api/channels/${channelId}/summary`, ada.token);
    expect((await summary()).body.summary.muted).toEqual({ reason: '', expiresAt: null });
    await done(mallory, 'put', restriction, { kind: 'banned', reason: WORDS });
    await done(mallory, 'patch', `/api/groups/${groupId}/members/${ada.id}`, { role: 'moderator' });
    await ban(groupId, ada, mallory);
    await done(mallory, 'post', `/api/groups/${other.groupId}/join-requests/${ada.id}/reject`, {
      reason: WORDS,
    });

    await client.waitFor('notification:created', ({ notification }) =>
      notification.kind.startsWith('join_request'),
    );
    expect(JSON.stringify(client.events)).not.toContain(WORDS);
    const notifications = (await notificationsOf(ada)).reverse().slice(1);
    expect(notifications.map(({ kind, text, actorId }) => [kind, text, actorId])).toEqual([
      ['warning', '', null],
      ['channel.muted', '', null],
      ['channel.banned', '', null],
      ['group.role_changed', 'moderator', mallory.id],
      ['group.banned', '', null],
      ['join_request.rejected', '', null],
    ]);
    // The other moderators see the reason.
    const bans = await server.api.get(`/api/groups/${groupId}/bans`, owner.token);
    expect(bans.body.bans).toMatchObject([{ user: { id: ada.id }, reason: WORDS }]);
  });

  it('reach users who have not blocked them', async () => {
    const { channelId } = await quietRoom('moderator');
    const restriction = { kind: 'muted', reason: WORDS };
    await done(mallory, 'put', `/api/channels/${channelId}/restrictions/${ada.id}`, restriction);
    const summary = await server.api.get(`/api/channels/${channelId}/summary`, ada.token);
    expect(summary.body.summary.muted.reason).toBe(WORDS);
    expect((await notificationsOf(ada))[0]).toMatchObject({ kind: 'channel.muted', text: WORDS });
  });
});

describe('a ban', () => {
  it('is not notified to a user who never had to do with the group', async () => {
    const groupId = await ownGroup(mallory);
    await ban(groupId, ada, mallory);
    await ban(groupId, ada, mallory, 'again');
    await done(mallory, 'delete', `/api/groups/${groupId}/bans/${ada.id}`);
    await ban(groupId, ada, mallory);
    expect(await notificationsOf(ada)).toEqual([]);
  });

  it.each([
    ['was in the group', async (groupId: string) => void (await add(groupId, ada, owner))],
    ['was invited', async (groupId: string) => void (await invite(groupId, ada, owner))],
    [
      'had requested to join',
      async (groupId: string) => {
        await done(owner, 'patch', `/api/groups/${groupId}`, { joinPolicy: 'approval' });
        await done(ada, 'post', `/api/groups/${groupId}/join-requests`, {});
      },
    ],
  ])('is notified to a user who %s, and again when it changes', async (_, come) => {
    const { groupId } = await callForRoom(server.api, owner, [], 'public');
    await come(groupId);
    await ban(groupId, ada, owner, 'first');
    await ban(groupId, ada, owner, 'second');
    const bans = (await notificationsOf(ada)).filter(({ kind }) => kind === 'group.banned');
    // The first one is unread, so the second replaces it.
    expect(bans.map(({ text }) => text)).toEqual(['second']);
  });
});

describe('a user who requires an invite', () => {
  it('is not added to groups or group direct messages, but can be invited', async () => {
    const { groupId } = await callForRoom(server.api, owner);
    await inviteOnly(ada);
    expect(await add(groupId, ada, owner)).toMatchObject(CONSENT_REQUIRED);
    const several = { userIds: [ada.id, mallory.id] };
    expect(await server.api.post('/api/direct-messages', several, owner.token)).toMatchObject(
      CONSENT_REQUIRED,
    );
    const pair = await done(owner, 'post', '/api/direct-messages', { userIds: [ada.id] });
    const third = { userIds: [mallory.id] };
    const people = (id: string) => `/api/direct-messages/${id}/people`;
    expect(await server.api.post(people(pair.conversation.channel.id), third, owner.token)).toMatchObject(
      CONSENT_REQUIRED,
    );
    const others = { userIds: [mallory.id, root.id] };
    const conversation = await done(owner, 'post', '/api/direct-messages', others);
    const joined = { userIds: [ada.id] };
    expect(
      await server.api.post(people(conversation.conversation.channel.id), joined, owner.token),
    ).toMatchObject(CONSENT_REQUIRED);

    const { body } = await invite(groupId, ada, owner);
    await done(ada, 'post', `/api/client/invites/${body.invite.id}/accept`);
    // Existing members stay members, whatever the setting.
    expect(await add(groupId, ada, owner)).toMatchObject({
      status: 200,
      body: { member: { role: 'member' } },
    });
  });

  it('is refused with the same error as a user who has blocked the caller', async () => {
    const { groupId } = await callForRoom(server.api, owner);
    await block(ada, owner);
    await inviteOnly(mallory);
    const [blocked, asked] = [await add(groupId, ada, owner), await add(groupId, mallory, owner)];
    const shownOf = ({ status, body: { error } }: { status: number; body: any }) => {
      const { requestId: _, ...rest } = error;
      return { status, ...rest };
    };
    expect(shownOf(blocked)).toEqual(shownOf(asked));
    expect(blocked).toMatchObject(CONSENT_REQUIRED);
  });

  it('can be added by a super admin, which is in the audit log, unless they have blocked them', async () => {
    const { groupId } = await callForRoom(server.api, owner);
    const explain = async (userId: string, subjectId: string) => {
      const query = { userId, subjectId, action: 'member.add', resource: `group:${groupId}` };
      return (await server.api.get('/api/admin/permissions/explain', root.token, query)).body;
    };
    await inviteOnly(ada);
    expect(await explain(owner.id, ada.id)).toMatchObject({
      allowed: false,
      rule: 'they_come_in_by_invite_only',
      code: 'consent_required',
    });
    expect((await add(groupId, ada, root)).status).toBe(201);
    const [entry] = await auditOf(server, { id: groupId }, 'super_admin.entered');
    expect(entry?.actorId?.toHexString()).toBe(root.id);
    expect(entry).toMatchObject({ details: { action: 'member.add' } });

    await block(mallory, root);
    expect(await explain(root.id, mallory.id)).toMatchObject({
      allowed: false,
      rule: 'they_have_blocked_the_user',
    });
    expect(await add(groupId, mallory, root)).toMatchObject(CONSENT_REQUIRED);
    const successor = { userId: mallory.id };
    const transfer = await server.api.post(`/api/admin/groups/${groupId}/transfer`, successor, root.token);
    expect(transfer).toMatchObject(CONSENT_REQUIRED);
  });

  it.each([
    ['blocks the caller', () => block(ada, owner)],
    ['requires an invite', () => inviteOnly(ada)],
  ])('is not added when the setting changes in the middle of it: %s', async (_, change) => {
    const { groupId } = await callForRoom(server.api, owner);
    const { users } = server.context.services;
    const requireUndeleted = users.requireUndeleted.bind(users);
    let changed: Promise<unknown> | undefined;
    // Between the decision and the write of the first attempt.
    users.requireUndeleted = async (userId) => {
      if (userId === ada.id && !changed) await (changed = change());
      return requireUndeleted(userId);
    };
    const answer = await add(groupId, ada, owner);
    users.requireUndeleted = requireUndeleted;
    expect(changed).toBeDefined();
    expect(answer).toMatchObject(CONSENT_REQUIRED);
    expect(await notificationsOf(ada)).toEqual([]);
  });
});

describe('the same notification over and over again', () => {
  it('exists once while it is unread, and is refused after some repetitions', async () => {
    const groupId = await ownGroup(mallory);
    const client = await connectClient(server.url, ada);
    const member = `/api/groups/${groupId}/members/${ada.id}`;
    let times = 0;
    for (; (await add(groupId, ada, mallory)).status === 201; times++) await done(mallory, 'delete', member);
    expect(times).toBe(PER_HOUR / 2);
    expect(await kindsOf(ada)).toEqual(['group.removed', 'group.added']);
    const notified = client.events.filter(({ event }) => event === 'notification:created');
    expect(notified).toHaveLength(PER_HOUR);
    const refusal = await add(groupId, ada, mallory);
    expect(refusal).toMatchObject(refused(429, 'rate_limited'));
    expect(refusal.body.error.retryAfter).toBeGreaterThan(3000);
    // Other users and other kinds of notifications are counted separately.
    expect((await add(groupId, owner, mallory)).status).toBe(201);
    expect((await add((await callForRoom(server.api, owner)).groupId, ada, owner)).status).toBe(201);
  });

  it.each([
    ['who has not blocked them', () => Promise.resolve()],
    ['who has blocked them, which the refusal does not reveal', () => block(ada, mallory)],
  ])('is refused for invites to a user %s', async (_, before) => {
    await before();
    const groupId = await ownGroup(mallory);
    let invited = await invite(groupId, ada, mallory);
    let times = 0;
    for (; invited.status === 201; times++) {
      await done(mallory, 'delete', `/api/groups/${groupId}/invites/${invited.body.invite.id}`);
      invited = await invite(groupId, ada, mallory);
    }
    expect([times, invited]).toMatchObject([PER_HOUR, refused(429, 'rate_limited')]);
    expect(await notificationsOf(ada)).toEqual([]);
  });

  it('reaches admins a limited number of times when a user requests to join and withdraws again', async () => {
    const { groupId } = await callForRoom(server.api, ada, [], 'public');
    await done(ada, 'patch', `/api/groups/${groupId}`, { joinPolicy: 'approval' });
    const client = await connectClient(server.url, ada);
    for (let times = 0; times < PER_HOUR + 5; times++) {
      await done(mallory, 'post', `/api/groups/${groupId}/join-requests`, { note: `${times}` });
      await done(mallory, 'delete', `/api/client/join-requests/${groupId}`);
    }
    await done(mallory, 'post', `/api/groups/${groupId}/join-requests`, { note: 'last' });
    await done(owner, 'post', `/api/groups/${groupId}/join-requests`, { note: 'other' });
    await client.waitFor('join_request:created', ({ joinRequest }) => joinRequest.user.id === owner.id);
    const received = client.events.filter(({ event }) => event === 'join_request:created');
    expect(received).toHaveLength(PER_HOUR + 1);
    const queue = await server.api.get(`/api/groups/${groupId}/join-requests`, ada.token);
    expect(queue.body.joinRequests.map(({ note }: { note: string }) => note)).toEqual(['last', 'other']);
  });

  it('is not refused to moderators: they may mute as often as they have to', async () => {
    const { channelId } = await quietRoom('moderator');
    for (let times = 0; times < PER_HOUR + 2; times++) {
      const restriction = { kind: 'muted', reason: `${times}` };
      await done(mallory, 'put', `/api/channels/${channelId}/restrictions/${ada.id}`, restriction);
    }
    const summary = await server.api.get(`/api/channels/${channelId}/summary`, ada.token);
    expect(summary.body.summary.muted.reason).toBe(`${PER_HOUR + 1}`);
    expect((await kindsOf(ada)).filter((kind) => kind === 'channel.muted')).toHaveLength(1);
  });
});
