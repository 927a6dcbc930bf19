import jwt from 'jsonwebtoken';
import { ObjectId } from 'mongodb';
import { RefreshGrace } from '../../../services/identity/refresh-grace';
import { auditOf, everythingStored, reuseRefreshToken } from '../../fixtures/accounts';
import { ManualClock } from '../../fixtures/manual-clock';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;
const clock = new ManualClock();

beforeAll(async () => {
  server = await startTestServer({}, { clock });
});
afterAll(() => server.close());

const refresh = (refreshToken: string) => server.api.post('/api/auth/refresh', { refreshToken });
const me = (token?: string) => server.api.get('/api/auth/me', token);
const logout = (token: string) => server.api.post('/api/auth/logout', undefined, token);
const refusedAs = (code: string) => ({ status: 401, body: { error: { code } } });
const sessions = () => server.context.database.collections.sessions;

async function sessionOf(person: Person) {
  const session = await sessions().findOne({ userId: new ObjectId(person.id) });
  return session!;
}

describe('a refresh token', () => {
  it('is exchanged for a new pair again and again, and earlier access tokens stay valid', async () => {
    const person = await signUp(server.api);
    let { refreshToken } = person;
    for (let round = 0; round < 3; round++) {
      const { status, body } = await refresh(refreshToken);
      expect(status).toBe(200);
      expect(body.user.id).toBe(person.id);
      expect(body.refreshToken).not.toBe(refreshToken);
      expect((await me(body.accessToken)).status).toBe(200);
      refreshToken = body.refreshToken;
    }
    expect((await me(person.token)).status).toBe(200);
  });

  it('used a second time ends the session for everyone who holds its tokens', async () => {
    const person = await signUp(server.api);
    const second = (await refresh(person.refreshToken)).body;
    const third = (await refresh(second.refreshToken)).body;
    expect(await refresh(person.refreshToken)).toMatchObject(refusedAs('refresh_token_reused'));
    for (const token of [person.token, second.accessToken, third.accessToken]) {
      expect(await me(token)).toMatchObject(refusedAs('session_revoked'));
    }
    for (const token of [person.refreshToken, second.refreshToken, third.refreshToken]) {
      expect(await refresh(token)).toMatchObject(refusedAs('refresh_token_invalid'));
    }
  });

  it('used a second time ends only its own session', async () => {
    const person = await signUp(server.api);
    const { body: other } = await server.api.post('/api/auth/login', {
      identifier: person.username,
      password: 'correct horse battery',
    });
    await reuseRefreshToken(server.api, person);
    expect((await me(other.accessToken)).status).toBe(200);
    expect((await refresh(other.refreshToken)).status).toBe(200);
  });

  it('used by many at once gives each the same successor, and the session lives', async () => {
    const person = await signUp(server.api);
    const answers = await Promise.all(Array.from({ length: 5 }, () => refresh(person.refreshToken)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const successors = new Set(answers.map(({ body }) => body.refreshToken));
    expect(successors.size).toBe(1);
    for (const { body } of answers) expect((await me(body.accessToken)).status).toBe(200);
    expect((await refresh([...successors][0]!)).status).toBe(200);
    expect(await auditOf(server, person)).toEqual([]);
  });

  it('used again within ten seconds returns the same successor, also after a restart', async () => {
    const person = await signUp(server.api);
    const { refreshToken } = (await refresh(person.refreshToken)).body;
    await clock.advance(9_999);
    await server.restart();
    const again = await refresh(person.refreshToken);
    expect([again.status, again.body.refreshToken]).toEqual([200, refreshToken]);
    expect(again.body.user.id).toBe(person.id);
    expect((await refresh(refreshToken)).status).toBe(200);
  });

  it('used again after ten seconds counts as stolen, however often it was used within them', async () => {
    const person = await signUp(server.api);
    const { body } = await refresh(person.refreshToken);
    await clock.advance(9_000);
    expect((await refresh(person.refreshToken)).status).toBe(200);
    await clock.advance(1_000);
    expect(await refresh(person.refreshToken)).toMatchObject(refusedAs('refresh_token_reused'));
    expect(await me(body.accessToken)).toMatchObject(refusedAs('session_revoked'));
    expect(await refresh(body.refreshToken)).toMatchObject(refusedAs('refresh_token_invalid'));
  });

  it('used again returns nothing once the account or the session has ended', async () => {
    const [person, gone] = [await signUp(server.api), await signUp(server.api)];
    const { body } = await refresh(person.refreshToken);
    expect((await refresh(gone.refreshToken)).status).toBe(200);
    await logout(body.accessToken);
    expect(await refresh(person.refreshToken)).toMatchObject(refusedAs('refresh_token_invalid'));
    const { users } = server.context.database.collections;
    await users.updateOne({ _id: new ObjectId(gone.id) }, { $set: { state: 'banned' } });
    expect(await refresh(gone.refreshToken)).toMatchObject(refusedAs('refresh_token_invalid'));
  });

  it('has a successor in the database that only the holder of the token can decrypt', async () => {
    const person = await signUp(server.api);
    const { body } = await refresh(person.refreshToken);
    const { spentToken } = await sessionOf(person);
    expect(spentToken).toBeDefined();
    const stored = await everythingStored(server);
    for (const secret of [body.refreshToken, person.refreshToken]) expect(stored).not.toContain(secret);
    const session = { spentToken: spentToken! };
    const read = (secret: string, token: string) =>
      new RefreshGrace(secret).successorOf(token, session, spentToken!.spentAt);
    const { encryptionKey } = server.context.config;
    expect(read(encryptionKey, person.refreshToken)).toBe(body.refreshToken);
    expect(read('another secret of more than 32 characters', person.refreshToken)).toBeUndefined();
    expect(read(encryptionKey, body.refreshToken)).toBeUndefined();
  });

  it('that was never issued ends no session', async () => {
    const person = await signUp(server.api);
    const [id, secret, seal] = person.refreshToken.split('.') as [string, string, string];
    const flip = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1);
    const invented = [
      `${id}.${flip(secret)}.${seal}`,
      `${id}.${secret}.${flip(seal)}`,
      `${new ObjectId().toHexString()}.${secret}.${seal}`,
      `${id}.${secret}`,
      `${person.refreshToken} `,
      person.token.slice(0, 256),
      'x',
    ];
    for (const token of invented) {
      expect(await refresh(token)).toMatchObject(refusedAs('refresh_token_invalid'));
    }
    expect((await me(person.token)).status).toBe(200);
    expect((await refresh(person.refreshToken)).status).toBe(200);
  });

  it('of an expired session is refused, and so are its access tokens', async () => {
    const person = await signUp(server.api);
    const { _id } = await sessionOf(person);
    await sessions().updateOne({ _id }, { $set: { expiresAt: new Date(Date.now() - 1000) } });
    expect(await refresh(person.refreshToken)).toMatchObject(refusedAs('refresh_token_invalid'));
    expect(await me(person.token)).toMatchObject(refusedAs('session_revoked'));
  });

  it('extends the session', async () => {
    const person = await signUp(server.api);
    const { _id } = await sessionOf(person);
    const soon = new Date(Date.now() + 60_000);
    await sessions().updateOne({ _id }, { $set: { expiresAt: soon } });
    await refresh(person.refreshToken);
    const { expiresAt } = await sessionOf(person);
    expect(expiresAt.getTime()).toBeGreaterThan(soon.getTime() + 29 * 86_400_000);
  });
});

describe('logging out', () => {
  it('ends the session at once with its refresh token; a second time is refused', async () => {
    const person = await signUp(server.api);
    const answer = await logout(person.token);
    expect([answer.status, answer.body]).toEqual([204, {}]);
    expect(await me(person.token)).toMatchObject(refusedAs('session_revoked'));
    expect(await refresh(person.refreshToken)).toMatchObject(refusedAs('refresh_token_invalid'));
    expect(await logout(person.token)).toMatchObject(refusedAs('session_revoked'));
  });
});

describe('an access token', () => {
  let person: Person;
  let claims: jwt.JwtPayload;
  const secret = () => server.context.config.auth.jwtSecret;
  const keyid = () => jwt.decode(person.token, { complete: true })!.header.kid!;
  const sign = (payload: object, key = secret(), algorithm: jwt.Algorithm = 'HS256') =>
    jwt.sign(payload, key, { algorithm, keyid: keyid() });
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

  beforeAll(async () => {
    person = await signUp(server.api);
    claims = jwt.decode(person.token) as jwt.JwtPayload;
  });

  it('is missing', async () => {
    const answer = await me();
    expect(answer).toMatchObject(refusedAs('unauthenticated'));
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  it.each(['Bearer', 'Bearer ', 'Basic YTpi', 'Token x', 'Bearer a b', 'Bearer a, Bearer b'])(
    'is not accepted in a header %j',
    async (authorization) => {
      const answer = await server.api.call('get', '/api/auth/me', { headers: { authorization } });
      expect(answer).toMatchObject(refusedAs('unauthenticated'));
    },
  );

  it('is accepted with the scheme in any case, and not from the query or a cookie', async () => {
    const call = (headers: Record<string, string>, query = {}) =>
      server.api.call('get', '/api/auth/me', { headers, query });
    expect((await call({ authorization: `bearer ${person.token}` })).status).toBe(200);
    expect((await call({ cookie: `token=${person.token}` })).status).toBe(401);
    expect((await call({}, { token: person.token, access_token: person.token })).status).toBe(401);
  });

  it("signed like the server's own is valid: the forgeries below differ in one property each", async () => {
    expect((await me(sign(claims))).status).toBe(200);
  });

  it.each<[string, () => string]>([
    [
      'has another payload',
      () => {
        const [header, , signature] = person.token.split('.');
        return [header, encode({ ...claims, role: 'super_admin' }), signature].join('.');
      },
    ],
    [
      'declares the algorithm none',
      () => `${encode({ alg: 'none', typ: 'JWT', kid: keyid() })}.${encode(claims)}.`,
    ],
    [
      'declares the algorithm none in another case',
      () => `${encode({ alg: 'nOnE', typ: 'JWT', kid: keyid() })}.${encode(claims)}.`,
    ],
    ['has no signature', () => person.token.split('.').slice(0, 2).join('.') + '.'],
    ['is signed with another secret', () => sign(claims, 'x'.repeat(48))],
    ['is signed with an empty secret', () => sign(claims, '', 'none')],
    ['is signed with another algorithm', () => sign(claims, secret(), 'HS512')],
    ['comes from another issuer', () => sign({ ...claims, iss: 'other' })],
    ['is for another audience', () => sign({ ...claims, aud: 'parley:refresh' })],
    ['contains no session', () => sign({ ...claims, sid: undefined })],
    ['contains an operator as session', () => sign({ ...claims, sid: { $ne: null } })],
    ['is not valid yet', () => sign({ ...claims, nbf: claims.iat! + 3600 })],
    ['contains no key id', () => jwt.sign(claims, secret())],
    ['contains an unknown key id', () => jwt.sign(claims, secret(), { keyid: 'another' })],
    [
      'contains a key id that is a property of every object',
      () => jwt.sign(claims, secret(), { keyid: '__proto__' }),
    ],
    ['is a refresh token', () => person.refreshToken],
    ['is malformed', () => 'a.b.c'],
  ])('that %s is refused', async (_, forge) => {
    expect(await me(forge())).toMatchObject(refusedAs('token_invalid'));
  });

  it('is valid within the tolerated clock difference', async () => {
    const now = Math.floor(Date.now() / 1000);
    expect((await me(sign({ ...claims, exp: now - 1 }))).status).toBe(200);
    expect((await me(sign({ ...claims, nbf: now + 3 }))).status).toBe(200);
  });

  it('that has expired is refused with its own error code', async () => {
    const past = { ...claims, iat: claims.iat! - 7200, exp: claims.iat! - 6 };
    expect(await me(sign(past))).toMatchObject(refusedAs('token_expired'));
    const lifetime = claims.exp! - claims.iat!;
    expect(lifetime).toBe(server.context.config.auth.accessTokenSeconds);
  });

  it('of another user with this session, or of an unknown session, is refused', async () => {
    const other = await signUp(server.api);
    expect(await me(sign({ ...claims, sub: other.id }))).toMatchObject(refusedAs('session_revoked'));
    const nowhere = { ...claims, sid: new ObjectId().toHexString() };
    expect(await me(sign(nowhere))).toMatchObject(refusedAs('session_revoked'));
  });

  it('of a deleted account is refused, and so is its refresh token', async () => {
    const { users } = server.context.database.collections;
    const { _id } = (await users.findOne({ username: person.username }))!;
    await users.deleteOne({ _id });
    expect(await me(person.token)).toMatchObject(refusedAs('session_revoked'));
    expect(await refresh(person.refreshToken)).toMatchObject(refusedAs('refresh_token_invalid'));
  });
});
