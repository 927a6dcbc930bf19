import fc from 'fast-check';
import { refused } from '../../fixtures/accounts';
import { createRoom, PASSWORD, signUp, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let admin: Person;

beforeAll(async () => {
  server = await startTestServer();
  admin = await signUp(server.api, 'Root');
});
afterAll(() => server.close());

const search = async (query: string, more: object = {}) => {
  const { status, body } = await server.api.get('/api/users', admin.token, { query, ...more });
  expect(status).toBe(200);
  return body as { users: { id: string; username: string }[]; nextCursor: string | null };
};
const namesOf = async (query: string) => (await search(query)).users.map(({ username }) => username);

describe('searching users by prefix', () => {
  const NAMES = ['zed', 'Zed-2', 'ZED.alpha', 'zed_b', 'zedd', 'zee', 'azed', 'z3d', 'Zz9', 'zea', 'ze-d'];

  beforeAll(async () => {
    for (const username of NAMES) {
      const body = { username, email: `${username}@example.org`, password: PASSWORD };
      expect((await server.api.post('/api/auth/register', body)).status).toBe(201);
    }
  });

  it.each([
    'zed',
    'ZED',
    'Zed',
    'z',
    'zed-',
    'zed.',
    'zed_',
    'ze',
    'zz',
    'zedd',
    'zeddy',
    'q',
    '.',
    '-',
    '9',
  ])('%j finds the matching users in any case, and no others', async (query) => {
    const expected = NAMES.filter((name) => name.toLowerCase().startsWith(query.toLowerCase()));
    expect((await namesOf(query)).sort()).toEqual(expected.sort());
  });

  it('finds the same as a comparison with each name, for any prefix', async () => {
    const letters = fc.string({ unit: fc.constantFrom(...'zZeEdD39.-_ab'), minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(letters, async (query) => {
        const expected = NAMES.filter((name) => name.toLowerCase().startsWith(query.toLowerCase()));
        expect((await namesOf(query)).sort()).toEqual(expected.sort());
      }),
      { seed: 4, numRuns: 60 },
    );
  });

  it('pages through all of them in one order, each once', async () => {
    const whole = await namesOf('z');
    expect(whole).toHaveLength(10);
    const paged: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof search>> = await search('z', {
        limit: 3,
        ...(cursor && { cursor }),
      });
      expect(page.users.length).toBeLessThanOrEqual(3);
      paged.push(...page.users.map(({ username }) => username));
      cursor = page.nextCursor;
    } while (cursor);
    expect(paged).toEqual(whole);
  });

  it('continues after the last result, even when that user was deleted meanwhile', async () => {
    for (let index = 0; index < 3; index++) await signUp(server.api, 'leaver');
    const first = await search('leaver', { limit: 1 });
    const rest = (await namesOf('leaver')).slice(1);
    const [last] = first.users;
    const { body } = await server.api.post('/api/auth/login', {
      identifier: last!.username,
      password: PASSWORD,
    });
    await server.api.call('delete', '/api/users/me', {
      token: body.accessToken,
      body: { password: PASSWORD },
    });
    const next = await search('leaver', { cursor: first.nextCursor });
    expect(next.users.map(({ username }) => username)).toEqual(rest);
  });

  it('leaves out deleted and deactivated users, and shows nothing private', async () => {
    const [deletedUser, resting] = [await signUp(server.api, 'hidden'), await signUp(server.api, 'hidden')];
    const shown = await signUp(server.api, 'hidden');
    expect(await namesOf('hidden')).toHaveLength(3);
    await server.api.call('delete', '/api/users/me', {
      token: deletedUser.token,
      body: { password: PASSWORD },
    });
    await server.api.post('/api/users/me/deactivate', { password: PASSWORD }, resting.token);
    const { users } = await search('hidden');
    expect(users.map(({ id }) => id)).toEqual([shown.id]);
    expect(JSON.stringify(users)).not.toContain('@');
    expect(await namesOf('deleted')).toEqual([]);
  });

  it.each([{}, { query: '' }, { query: '  ' }, { query: 'x'.repeat(81) }, { query: 'z', limit: 0 }])(
    'refuses %j',
    async (query) => {
      expect(await server.api.get('/api/users', admin.token, query)).toMatchObject(
        refused(400, 'validation_failed'),
      );
    },
  );
});

describe('the own profile', () => {
  it('accepts name, bio, status and time zone separately, and shows them to others', async () => {
    const ada = await signUp(server.api, 'ada');
    const change = (body: object) => server.api.patch('/api/users/me', body, ada.token);
    await change({ displayName: 'Ada' });
    await change({ bio: 'Counts.' });
    const { status, body } = await change({ statusText: 'Away', timeZone: 'Europe/Lisbon' });
    const profile = { displayName: 'Ada', bio: 'Counts.', statusText: 'Away', timeZone: 'Europe/Lisbon' };
    expect([status, body.user]).toMatchObject([200, profile]);
    expect((await server.api.get(`/api/users/${ada.id}`, admin.token)).body.user).toMatchObject(profile);
    for (const wrong of [
      {},
      { timeZone: 'Mars/Olympus' },
      { bio: 'x'.repeat(501) },
      { role: 'super_admin' },
    ]) {
      expect(await change(wrong)).toMatchObject(refused(400, 'validation_failed'));
    }
  });
});

describe('blocking', () => {
  const block = (who: string, { token }: Person) =>
    server.api.call('put', `/api/users/me/blocks/${who}`, { token });
  const unblock = (who: string, { token }: Person) =>
    server.api.call('delete', `/api/users/me/blocks/${who}`, { token });
  const blocked = async ({ token }: Person, query = {}) =>
    (await server.api.get('/api/users/me/blocks', token, query)).body;

  it('is stored once, listed in order with pages, and can be reverted', async () => {
    const ada = await signUp(server.api, 'ada');
    const others = [];
    for (let index = 0; index < 3; index++) others.push(await signUp(server.api, 'other'));
    const ids = others.map(({ id }) => id);
    for (const id of [...ids, ids[0]!]) expect((await block(id, ada)).status).toBe(204);
    expect((await blocked(ada)).users.map(({ id }: Person) => id)).toEqual(ids);
    const first = await blocked(ada, { limit: 2 });
    const rest = await blocked(ada, { limit: 2, cursor: first.nextCursor });
    expect([...first.users, ...rest.users].map(({ id }: Person) => id)).toEqual(ids);
    expect(rest.nextCursor).toBeNull();
    for (let time = 0; time < 2; time++) expect((await unblock(ids[1]!, ada)).status).toBe(204);
    expect((await blocked(ada)).users.map(({ id }: Person) => id)).toEqual([ids[0], ids[2]]);
    expect((await blocked(others[0]!)).users).toEqual([]);
  });

  it('requires another user who exists', async () => {
    const ada = await signUp(server.api, 'ada');
    expect(await block(ada.id, ada)).toMatchObject(refused(400, 'bad_request'));
    expect(await block('0'.repeat(24), ada)).toMatchObject(refused(404, 'not_found'));
  });

  it('many times at once is stored once', async () => {
    const { ada, bob } = await signUpAll(server.api, 'ada', 'bob');
    const answers = await Promise.all(Array.from({ length: 6 }, () => block(bob.id, ada)));
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 204, 204, 204, 204]);
    expect((await blocked(ada)).users).toHaveLength(1);
  });
});

describe('the personal export', () => {
  it('contains all data of the user as NDJSON, and none of others', async () => {
    const { ada, bob } = await signUpAll(server.api, 'ada', 'bob');
    const { groupId, channelId } = await createRoom(server.api, ada, [bob]);
    const secret = { groupId, name: 'secret', visibility: 'private' };
    const inner = (await server.api.post('/api/channels', secret, ada.token)).body.channel.id as string;
    const path = `/api/channels/${channelId}/messages`;
    for (let index = 0; index < 30; index++) {
      const sender = index % 3 === 0 ? bob : ada;
      await server.api.post(path, { clientMessageId: `m${index}`, body: `text ${index}` }, sender.token);
    }
    await server.api.call('put', `/api/users/me/blocks/${bob.id}`, { token: ada.token });
    const response = await fetch(`${server.url}/api/users/me/export`, {
      headers: { Authorization: `Bearer ${ada.token}` },
    });
    expect([response.status, response.headers.get('content-type')]).toEqual([
      200,
      expect.stringMatching(/^application\/x-ndjson/),
    ]);
    const text = await response.text();
    expect(text.endsWith('\n')).toBe(true);
    const records: { kind: string; data: any }[] = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; data: unknown });
    const of = (kind: string) => records.filter((line) => line.kind === kind).map(({ data }) => data);
    expect(of('user')).toMatchObject([{ id: ada.id, email: `${ada.username}@example.org` }]);
    expect(of('session')).toMatchObject([{ address: '127.0.0.1', current: true }]);
    expect(of('membership')).toMatchObject([{ group: { id: groupId, myRole: 'owner' } }]);
    expect(of('channel_membership')).toEqual([{ channelId: inner, joinedAt: expect.any(String) }]);
    expect(of('block')).toMatchObject([{ id: bob.id }]);
    expect(of('message')).toHaveLength(20);
    expect(new Set(of('message').map(({ senderId }) => senderId))).toEqual(new Set([ada.id]));
    expect(of('preferences')).toMatchObject([{ locale: 'en' }]);
    expect(of('read_marker')).toContainEqual({ channelId, readSeq: 30 });
    expect(of('user')).toHaveLength(1);
    expect(text).not.toMatch(/Hash|text 0"|\$2[aby]\$/);
  });

  it("of an unreadable channel contains the user's own messages, and nothing that came later", async () => {
    const { api } = server;
    const { ada, bob } = await signUpAll(api, 'ada', 'bob');
    const { groupId, channelId } = await createRoom(api, ada, [bob]);
    const path = `/api/channels/${channelId}/messages`;
    const say = async (clientMessageId: string, body: string, by: Person, more = {}) =>
      (await api.post(path, { clientMessageId, body, ...more }, by.token)).body.message;
    const mine = await say('mine', 'My words', bob);
    const removedMessage = await say('gone', 'Deleted later', bob);
    const messages = async () => {
      const headers = { Authorization: `Bearer ${bob.token}` };
      const text = await (await fetch(`${server.url}/api/users/me/export`, { headers })).text();
      const records = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { kind: string; data: any });
      return records.filter(({ kind }) => kind === 'message').map(({ data }) => data);
    };
    expect(await messages()).toEqual([mine, removedMessage]);
    await api.post(`/api/groups/${groupId}/leave`, undefined, bob.token);
    await say('reply', 'A reply', ada, { threadId: mine.id });
    await api.call('put', `/api/messages/${mine.id}/reactions/:x:`, { token: ada.token });
    await api.call('put', `/api/messages/${mine.id}/pin`, { token: ada.token });
    await api.delete(`/api/messages/${removedMessage.id}`, ada.token);
    const [{ body, ...rest }, ...others] = await messages();
    expect([body, others]).toEqual(['My words', []]);
    const later = ['revision', 'replyCount', 'lastReplyAt', 'reactions', 'pinnedAt', 'pinnedBy', 'deletedAt'];
    expect(Object.keys(rest).filter((name) => later.includes(name))).toEqual([]);
    expect(JSON.stringify(rest)).not.toContain(ada.id);
    await api.post(`/api/groups/${groupId}/members`, { userId: bob.id }, ada.token);
    expect(await messages()).toMatchObject([{ replyCount: 1, pinnedBy: ada.id }, { body: '' }]);
  });
});
