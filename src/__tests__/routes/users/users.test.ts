import { ObjectId } from 'mongodb';
import { createRoom, PASSWORD, signUpAll, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
let ada: Person;
let bob: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ ada, bob } = await signUpAll(server.api, 'ada', 'bob'));
});
afterAll(() => server.close());

describe('the public profile of a user', () => {
  it('contains names and nothing private', async () => {
    const { status, body } = await server.api.get(`/api/users/${ada.id}`, bob.token);
    expect(status).toBe(200);
    expect(body).toEqual({
      user: {
        id: ada.id,
        username: ada.username,
        displayName: ada.username,
        bio: '',
        statusText: '',
        timeZone: 'UTC',
        avatarUrl: null,
        deleted: false,
        deactivated: false,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      },
    });
  });

  it('is found by an id in capital letters too', async () => {
    const { body } = await server.api.get(`/api/users/${ada.id.toUpperCase()}`, bob.token);
    expect(body.user.id).toBe(ada.id);
  });

  it('is not found by an unknown id', async () => {
    const answer = await server.api.get(`/api/users/${new ObjectId().toHexString()}`, bob.token);
    expect(answer).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } });
  });

  it.each(['1', 'z'.repeat(24), '0'.repeat(25), '%7B%22%24ne%22%3Anull%7D'])(
    'is refused for %s',
    async (id) => {
      const answer = await server.api.get(`/api/users/${id}`, bob.token);
      expect(answer).toMatchObject({ status: 400, body: { error: { code: 'validation_failed' } } });
    },
  );
});

describe("the caller's own user", () => {
  it('at GET /api/users/me equals that of GET /api/auth/me, and differs from what others see', async () => {
    const [own, me] = await Promise.all([
      server.api.get('/api/users/me', ada.token),
      server.api.get('/api/auth/me', ada.token),
    ]);
    expect([own.status, own.body.user.email]).toEqual([200, `${ada.username}@example.org`]);
    expect(own.body).toEqual(me.body);
  });
});

describe('the private data of a user', () => {
  it('is in no answer to another user', async () => {
    const { api, context } = server;
    const { groupId, channelId } = await createRoom(api, bob, [ada]);
    const sent = await api.post(
      `/api/channels/${channelId}/messages`,
      { clientMessageId: 'one', body: 'hello' },
      ada.token,
    );
    const answers = await Promise.all([
      api.get(`/api/users/${ada.id}`, bob.token),
      api.get(`/api/groups/${groupId}/members`, bob.token),
      api.post(`/api/groups/${groupId}/members`, { userId: ada.id }, bob.token),
      api.get(`/api/groups/${groupId}`, bob.token),
      api.get(`/api/channels?groupId=${groupId}`, bob.token),
      api.get(`/api/channels/${channelId}/messages`, bob.token),
      api.delete(`/api/messages/${sent.body.message.id}`, bob.token),
      api.get('/api/auth/me', bob.token),
      api.post('/api/auth/login', { identifier: ada.username, password: 'not the password' }),
      api.post('/api/auth/register', {
        username: ada.username,
        email: 'new@example.org',
        password: PASSWORD,
      }),
    ]);
    const seen = JSON.stringify(answers.map(({ body, headers }) => [body, headers]));
    // Ada is in the answers, so that the search for her private data is meaningful.
    expect(seen).toContain(ada.id);
    const { users, sessions } = context.database.collections;
    const userId = new ObjectId(ada.id);
    const { passwordHash, email } = (await users.findOne({ _id: userId }))!;
    const { _id: sessionId, refreshTokenHash } = (await sessions.findOne({ userId }))!;
    const secrets = [
      passwordHash,
      email,
      sessionId.toHexString(),
      refreshTokenHash,
      ada.token,
      ada.refreshToken,
    ];
    for (const secret of secrets) expect(seen).not.toContain(secret);
    expect(seen).not.toMatch(/passwordHash|refreshTokenHash|\$2[aby]\$/);
  });
});
