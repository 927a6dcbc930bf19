import { PASSWORD, signUp } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const account = (username: string, more: object = {}) => ({
  username,
  email: `${username}@example.org`,
  password: PASSWORD,
  ...more,
});
const register = (body: object, on = server) => on.api.post('/api/auth/register', body);
const login = (identifier: string, password = PASSWORD) =>
  server.api.post('/api/auth/login', { identifier, password });

describe('registering', () => {
  it('creates an account and logs it in', async () => {
    const { status, body } = await register(account('Ada', { displayName: '  Ada Löwe ' }));
    expect(status).toBe(201);
    expect(body.user).toEqual({
      id: expect.any(String),
      avatarUrl: null,
      username: 'Ada',
      email: 'Ada@example.org',
      displayName: 'Ada Löwe',
      bio: '',
      statusText: '',
      timeZone: 'UTC',
      deleted: false,
      deactivated: false,
      emailVerified: false,
      pendingEmail: null,
      totpEnabled: false,
      role: 'super_admin',
      createdAt: expect.any(String),
    });
    const me = await server.api.get('/api/auth/me', body.accessToken);
    expect(me).toMatchObject({ status: 200, body: { user: body.user } });
  });

  it('uses the username where no display name is given', async () => {
    const { body } = await register(account('plain.name'));
    expect(body.user).toMatchObject({ displayName: 'plain.name', role: 'client' });
  });

  it('refuses a taken name or address in any case', async () => {
    await register(account('Grace'));
    expect(await register(account('gRACE', { email: 'other@example.org' }))).toMatchObject({
      status: 409,
      body: { error: { code: 'username_taken' } },
    });
    expect(await register(account('Hopper', { email: 'GRACE@EXAMPLE.ORG' }))).toMatchObject({
      status: 409,
      body: { error: { code: 'email_taken' } },
    });
    // The refused account does not exist partially.
    expect((await register(account('Hopper'))).status).toBe(201);
  });

  it('creates one account when the same name registers many times at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        register(account(index % 2 ? 'Twin' : 'twin', { email: `twin${index}@example.org` })),
      ),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    const refused = answers.filter(({ status }) => status !== 201);
    expect(new Set(refused.map(({ body }) => body.error.code))).toEqual(new Set(['username_taken']));
  });

  it.each<[string, object]>([
    ['no username', { username: undefined }],
    ['a username of two characters', { username: 'ab' }],
    ['a username of 33 characters', { username: 'a'.repeat(33) }],
    ['a username with a space', { username: 'a b c' }],
    ['a username that is an address', { username: 'a@b.org' }],
    ['a username that starts with a dot', { username: '.abc' }],
    ['a username in another script', { username: 'Аda1' }],
    ['a malformed address', { email: 'nobody' }],
    ['an address of 255 characters', { email: `${'a'.repeat(243)}@example.org` }],
    ['a password of nine characters', { password: '123456789' }],
    ['a password of 73 bytes', { password: 'ä'.repeat(36) + 'a' }],
    ['a password with NUL', { password: `${PASSWORD}\0` }],
    ['a blank display name', { displayName: ' \t ' }],
    ['a display name with a line break', { displayName: 'a\nb' }],
    ['a display name of 81 characters', { displayName: 'x'.repeat(81) }],
    ['a role', { role: 'super_admin' }],
    ['an id', { _id: '6740f2a1c3b5d7e9f1a3b5c7' }],
  ])('refuses %s', async (_, wrong) => {
    const { status, body } = await register(account('nobody', wrong));
    expect([status, body.error.code]).toEqual([400, 'validation_failed']);
    expect(body.error.details.length).toBeGreaterThan(0);
  });

  it.each(['password123', 'QWERTYUIOP', '1234567890', 'aaaaaaaaaaaa', 'abababababab', 'nobody-special'])(
    'refuses the common password %s',
    async (password) => {
      const { status, body } = await register(account('nobody-special', { password }));
      expect([status, body.error.code]).toEqual([400, 'password_too_common']);
    },
  );

  it('accepts the longest permitted values', async () => {
    const longest = { displayName: 'x'.repeat(80), password: 'äöü'.repeat(12) };
    expect((await register(account('x'.repeat(32), longest))).status).toBe(201);
    expect((await login('X'.repeat(32), longest.password)).status).toBe(200);
  });

  it('stores neither the password nor a token in plain text', async () => {
    const person = await signUp(server.api);
    const stored = JSON.stringify(
      await Promise.all(
        Object.values(server.context.database.collections).map((collection) => collection.find().toArray()),
      ),
    );
    expect(stored).toContain(person.username);
    for (const secret of [PASSWORD, person.token, person.refreshToken]) expect(stored).not.toContain(secret);
  });
});

describe('the first account', () => {
  it('is super admin, and exactly one when many register at once', async () => {
    const fresh = await startTestServer();
    const names = Array.from({ length: 10 }, (_, index) => `early${index}`);
    const answers = await Promise.all(names.map((name) => register(account(name), fresh)));
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 201));
    const roles = answers.map(({ body }) => body.user.role).sort();
    expect(roles).toEqual([...names.slice(1).map(() => 'client'), 'super_admin']);
    // The answers agree with the database.
    const me = await Promise.all(answers.map(({ body }) => fresh.api.get('/api/auth/me', body.accessToken)));
    expect(me.map(({ body }) => body.user.role).sort()).toEqual(roles);
    await fresh.close();
  });

  it('is super admin although others registered the same name at the same time', async () => {
    const fresh = await startTestServer();
    const answers = await Promise.all(Array.from({ length: 8 }, () => register(account('founder'), fresh)));
    const made = answers.filter(({ status }) => status === 201);
    expect(made.map(({ body }) => body.user.role)).toEqual(['super_admin']);
    expect((await register(account('later'), fresh)).body.user.role).toBe('client');
    await fresh.close();
  });
});

describe('logging in', () => {
  it('accepts the username or the address in any case', async () => {
    const { body } = await register(account('Linus'));
    for (const identifier of ['Linus', 'lINUS', 'Linus@example.org', 'LINUS@EXAMPLE.ORG']) {
      const answer = await login(identifier);
      expect(answer).toMatchObject({ status: 200, body: { user: body.user } });
      expect((await server.api.get('/api/auth/me', answer.body.accessToken)).status).toBe(200);
    }
  });

  it('gives the same error for an unknown user as for a wrong password', async () => {
    const { username } = await signUp(server.api);
    const withoutId = async (answer: Promise<{ status: number; body: any }>) => {
      const { status, body } = await answer;
      return { status, error: { ...body.error, requestId: '' } };
    };
    const wrong = await withoutId(login(username, `${PASSWORD}!`));
    expect(wrong).toMatchObject({ status: 401, error: { code: 'invalid_credentials' } });
    expect(await withoutId(login('nobody-at-all'))).toEqual(wrong);
    expect(await withoutId(login('nobody@example.org'))).toEqual(wrong);
    // bcrypt reads 72 bytes; what follows must count nevertheless.
    expect(await withoutId(login(username, PASSWORD.padEnd(100, '\0')))).toEqual(wrong);
  });

  it('requires the whole name', async () => {
    const { username } = await signUp(server.api, 'wholename');
    for (const identifier of [username.slice(0, -1), '.*', `^${username}$`, `%${username}`]) {
      expect((await login(identifier)).status).toBe(401);
    }
  });

  it('opens a new session each time', async () => {
    const { username } = await signUp(server.api);
    const [phone, laptop] = await Promise.all([login(username), login(username)]);
    expect(phone.body.refreshToken).not.toBe(laptop.body.refreshToken);
    await server.api.post('/api/auth/logout', undefined, phone.body.accessToken);
    expect((await server.api.get('/api/auth/me', phone.body.accessToken)).status).toBe(401);
    expect((await server.api.get('/api/auth/me', laptop.body.accessToken)).status).toBe(200);
  });
});
