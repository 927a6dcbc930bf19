import jwt from 'jsonwebtoken';
import { createConnection } from 'node:net';
import supertest from 'supertest';
import { logInAgain, me, refused, reuseRefreshToken } from '../fixtures/accounts';
import { createApi } from '../fixtures/api';
import { createContext } from '../../context';
import { PASSWORD, signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';
import { startServer } from '../../server';
import { connect } from '../fixtures/sockets';

const OLD = 'the old secret, of more than 32 characters';
const NEW = 'the new secret, of more than 32 characters';
const LISTED = 'https://chat.example.org';

/** Sends one raw request. @returns the first line of the response */
function requestLine(url: string, target: string, headers: string[] = []): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: hostname, port: Number(port) });
    const lines = [`GET ${target} HTTP/1.1`, 'Host: parley', ...headers, '', ''];
    let text = '';
    socket.setEncoding('latin1').on('error', reject);
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!text.includes('\r\n')) return;
      socket.destroy();
      resolve(text.slice(0, text.indexOf('\r\n')));
    });
    socket.write(lines.join('\r\n'), 'latin1');
  });
}

describe('a request with a malformed URL', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  it.each(['//', '///', '//\xe9:x/', '/\xe9', 'http://[/', '/socket.io/?\xe9=%', '*'])(
    '%s is answered, and the server continues',
    async (target) => {
      const upgrade = ['Connection: Upgrade', 'Upgrade: websocket'];
      for (let round = 0; round < 20; round++) {
        expect(await requestLine(server.url, target)).toMatch(/^HTTP\/1\.1 [24]\d\d /);
      }
      expect(await requestLine(server.url, target, upgrade)).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect((await server.api.get('/health/live')).status).toBe(200);
    },
  );
});

describe('headers', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({ CORS_ORIGINS: `${LISTED},http://localhost:4200` });
  });
  afterAll(() => server.close());

  it.each([LISTED, 'http://localhost:4200'])('allow pages of the configured origin %s', async (origin) => {
    const { headers } = await supertest(server.url).get('/health/live').set('Origin', origin);
    expect(headers['access-control-allow-origin']).toBe(origin);
    expect(headers['vary']).toContain('Origin');
    expect(headers['access-control-expose-headers']).toBe('X-Request-Id,Retry-After,Idempotency-Replayed');
    const preflight = await supertest(server.url)
      .options('/api/auth/me')
      .set({ Origin: origin, 'Access-Control-Request-Method': 'PATCH' });
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-methods']).toContain('PATCH');
  });

  it.each([
    'https://evil.example',
    'null',
    'https://chat.example.org.evil.example',
    'http://chat.example.org',
    'https://chat.example.org:8443',
    'https://CHAT.example.org.',
  ])('do not allow pages of %s', async (origin) => {
    for (const method of ['get', 'options'] as const) {
      const { headers } = await supertest(server.url)[method]('/api/auth/me').set('Origin', origin);
      expect(headers['access-control-allow-origin']).toBeUndefined();
      expect(headers['access-control-allow-credentials']).toBeUndefined();
    }
  });

  it('are the same for sockets: long polling permits configured origins only', async () => {
    const poll = (origin: string) =>
      supertest(server.url).get('/socket.io/?EIO=4&transport=polling').set('Origin', origin);
    expect((await poll(LISTED)).headers['access-control-allow-origin']).toBe(LISTED);
    expect((await poll('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
  });

  it('include security headers, and do not name the server software', async () => {
    const { headers } = await supertest(server.url).get('/api/auth/me');
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'SAMEORIGIN',
      'referrer-policy': 'no-referrer',
      'content-security-policy': expect.stringContaining("default-src 'self'"),
    });
    expect(headers['x-powered-by']).toBeUndefined();
    expect(headers['strict-transport-security']).toBeUndefined();
  });

  it('contain the request id: the given one if it is valid, otherwise a new one', async () => {
    const idFor = async (given: string) =>
      (await supertest(server.url).get('/nowhere').set('X-Request-Id', given)).headers['x-request-id'];
    expect(await idFor('proxy-1_A')).toBe('proxy-1_A');
    for (const wrong of ['a b', 'x'.repeat(65), 'a"b', '{}']) {
      expect(await idFor(wrong)).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    }
    const { body, headers } = await supertest(server.url).get('/nowhere');
    expect(body.error.requestId).toBe(headers['x-request-id']);
  });

  it('allow no origin by default', async () => {
    const bare = await startTestServer({ PUBLIC_URL: 'https://chat.example.org' });
    const { headers } = await supertest(bare.url).get('/health/live').set('Origin', LISTED);
    expect(headers['access-control-allow-origin']).toBeUndefined();
    expect(headers['strict-transport-security']).toContain('max-age');
    await bare.close();
  });
});

describe('the IP address of a client', () => {
  it.each([
    ['false', '127.0.0.1'],
    ['true', '203.0.113.7'],
    ['1', '198.51.100.2'],
    ['loopback', '198.51.100.2'],
    ['loopback, 198.51.100.0/24', '203.0.113.7'],
    ['10.0.0.0/8', '127.0.0.1'],
  ])('with TRUST_PROXY=%s is %s', async (TRUST_PROXY, expected) => {
    const server = await startTestServer({ TRUST_PROXY });
    const ada = await signUp(server.api, 'ada');
    const { body } = await server.api.call('post', '/api/auth/login', {
      body: { identifier: ada.username, password: PASSWORD },
      headers: { 'X-Forwarded-For': '203.0.113.7, 198.51.100.2' },
    });
    const { sessions } = (await server.api.get('/api/auth/sessions', body.accessToken)).body;
    expect(sessions.find(({ current }: { current: boolean }) => current).address).toBe(expected);
    await server.close();
  });
});

describe('a change of the signing secret', () => {
  it('keeps tokens of the previous secret valid, and no others', async () => {
    const before = await startTestServer({ JWT_SECRET: OLD });
    const ada = await signUp(before.api, 'ada');
    const phone = await logInAgain(before.api, ada);
    const { database, config } = before.context;
    /** The same installation after a restart with other secrets. */
    const restarted = async (jwtSecret: string, previousJwtSecret?: string) => {
      const auth = { ...config.auth, jwtSecret, previousJwtSecret };
      const context = await createContext({ ...config, auth }, { database });
      const server = await startServer(context);
      const close = async () => {
        await server.close();
        await context.close();
      };
      return { api: await createApi(server.url), close };
    };

    const rotated = await restarted(NEW, OLD);
    expect((await me(rotated.api, ada)).status).toBe(200);
    const renewed = await rotated.api.post('/api/auth/refresh', { refreshToken: ada.refreshToken });
    expect(renewed.status).toBe(200);
    const kid = (token: string) => jwt.decode(token, { complete: true })!.header.kid;
    expect(kid(renewed.body.accessToken)).not.toBe(kid(ada.token));
    // The previous token is still recognised, so that its reuse is detected.
    await reuseRefreshToken(rotated.api, phone);
    expect((await me(rotated.api, phone)).status).toBe(401);
    await rotated.close();

    const done = await restarted(NEW);
    expect(await me(done.api, ada)).toMatchObject(refused(401, 'token_invalid'));
    const late = await done.api.post('/api/auth/refresh', { refreshToken: ada.refreshToken });
    expect(late).toMatchObject(refused(401, 'refresh_token_invalid'));
    const { accessToken, refreshToken } = renewed.body;
    expect((await me(done.api, { token: accessToken })).status).toBe(200);
    expect((await done.api.post('/api/auth/refresh', { refreshToken })).status).toBe(200);
    await done.close();
    await before.close();
  });
});

describe('the client version', () => {
  let server: TestServer;
  let ada: Person;
  beforeAll(async () => {
    server = await startTestServer({ MIN_CLIENT_VERSIONS: 'web/1.4.0, ios/2.0.0' });
    ada = await signUp(server.api, 'ada');
  });
  afterAll(() => server.close());

  /** The outcomes for a client with this version header: with a token, without one, and at the handshake. */
  async function outcomes(client: string | undefined): Promise<unknown[]> {
    const headers = client === undefined ? {} : { 'X-Parley-Client': client };
    const body = { identifier: ada.username, password: PASSWORD };
    const answers = [
      await server.api.call('get', '/api/auth/me', { token: ada.token, headers }),
      await server.api.call('post', '/api/auth/login', { body, headers }),
    ];
    const handshake = await connect(server.url, ada.token, { auth: { token: ada.token, client } }).then(
      (device) => {
        device.close();
      },
      (error: Error & { data: unknown }) => error.data,
    );
    return [...answers.map((answer) => answer.body.error), handshake];
  }

  it.each([
    undefined,
    'web/1.4.0',
    'Web/1.10.0',
    'web/1.4.0+build.7',
    'ios/3.0.0-beta.1',
    'bot/0.0.1',
    'constructor/0.0.1',
  ])('%s is new enough, or has no minimum', async (client) => {
    expect(await outcomes(client)).toEqual([undefined, undefined, undefined]);
  });

  it.each([
    ['web/1.3.9', 'web', '1.3.9', '1.4.0'],
    ['WEB/1.4.0-rc.1', 'web', '1.4.0-rc.1', '1.4.0'],
    ['ios/1.10.0', 'ios', '1.10.0', '2.0.0'],
  ])('%s is too old, over REST and sockets', async (sent, client, version, minimum) => {
    const error = {
      code: 'client_outdated',
      message: `This client is too old: update it to ${minimum} or later.`,
      details: { client, version, minimum },
    };
    const [me, logIn, handshake] = await outcomes(sent);
    expect([me, logIn]).toMatchObject([error, error]);
    expect(handshake).toEqual(error);
  });

  it.each([
    'web',
    'web/1.4',
    'web/v1.4.0',
    '/1.4.0',
    'web/1.4.0/2',
    `${'w'.repeat(33)}/1.4.0`,
    'web/1.4.0\u00e9',
  ])('%j is malformed, and refused', async (client) => {
    expect(await outcomes(client)).toMatchObject(
      Array.from({ length: 3 }, () => ({ code: 'validation_failed' })),
    );
  });

  it('is checked before the token, and must be a string', async () => {
    const headers = { 'X-Parley-Client': 'web/1.0.0' };
    expect(await server.api.call('get', '/api/auth/me', { headers })).toMatchObject(
      refused(400, 'client_outdated'),
    );
    for (const client of [{}, ['web/9.0.0'], 7, null]) {
      const handshake = connect(server.url, '', { auth: { token: 'nonsense', client } });
      await expect(handshake).rejects.toMatchObject({ data: { code: 'validation_failed' } });
    }
  });
});
