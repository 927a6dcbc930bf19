import jwt from 'jsonwebtoken';
import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { createConnection } from 'node:net';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import supertest from 'supertest';
import { WebSocket } from 'ws';
import { logInAgain, me, refused, reuseRefreshToken } from '../fixtures/accounts';
import { createApi } from '../fixtures/api';
import { createContext } from '../../context';
import { createRoom, PASSWORD, signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';
import { startServer } from '../../start-server';
import { connect } from '../fixtures/sockets';
import { upload } from '../fixtures/uploads';
import { apiRoutes } from '../../routes';
import { isCompressible } from '../../routes/api-route';

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

describe('compression', () => {
  let compressing: TestServer;
  let plain: TestServer;
  beforeAll(async () => {
    compressing = await startTestServer({ COMPRESSION: 'true' });
    plain = await startTestServer();
  });
  afterAll(async () => {
    await compressing.close();
    await plain.close();
  });

  interface RawAnswer {
    status: number;
    headers: IncomingHttpHeaders;
    /** The body as it was sent. */
    bytes: Buffer;
  }

  /** Sends a request without decompressing the answer. */
  function fetchRaw(
    url: string,
    headers: OutgoingHttpHeaders,
    method = 'GET',
    body = '',
  ): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const sent = request(url, { method, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode!, headers: response.headers, bytes: Buffer.concat(chunks) }),
        );
      });
      sent.on('error', reject).end(body);
    });
  }

  /** A channel with some messages. @returns the path of its history, and the header of a member */
  async function history(server: TestServer) {
    const ada = await signUp(server.api, 'ada');
    const { channelId } = await createRoom(server.api, ada);
    const path = `/api/channels/${channelId}/messages`;
    for (let number = 0; number < 5; number++) {
      const body = `Message number ${number}, whose text is not very long.`;
      await server.api.post(path, { clientMessageId: `m${number}`, body }, ada.token);
    }
    return { ada, url: `${server.url}${path}`, Authorization: `Bearer ${ada.token}` };
  }

  it('is off by default', async () => {
    const { url, Authorization } = await history(plain);
    const { headers } = await fetchRaw(url, { Authorization, 'Accept-Encoding': 'gzip, br' });
    expect(headers['content-encoding']).toBeUndefined();
    expect(headers['vary'] ?? '').not.toMatch(/accept-encoding/i);
  });

  it('is as the client accepts it, and changes no content', async () => {
    const { url, Authorization } = await history(compressing);
    const asking = (accepted?: string) =>
      fetchRaw(url, { Authorization, ...(accepted !== undefined && { 'Accept-Encoding': accepted }) });
    const expected = await asking();
    expect(JSON.parse(expected.bytes.toString()).messages).toHaveLength(5);
    for (const [accepted, encoding, decode] of [
      ['gzip', 'gzip', gunzipSync],
      ['gzip, deflate, br', 'br', brotliDecompressSync],
      ['zstd, gzip;q=0.5', 'gzip', gunzipSync],
    ] as const) {
      const { headers, bytes } = await asking(accepted);
      expect(headers).toMatchObject({ 'content-encoding': encoding, vary: 'Accept-Encoding' });
      expect(headers['content-length']).toBeUndefined();
      expect(bytes.length).toBeLessThan(expected.bytes.length / 2);
      expect(decode(bytes).equals(expected.bytes)).toBe(true);
    }
    for (const accepted of [undefined, 'identity', 'gzip;q=0, br;q=0', 'zstd']) {
      const { headers, bytes } = await asking(accepted);
      expect(headers['content-encoding']).toBeUndefined();
      // Otherwise a cache could give this answer to everybody.
      expect(headers['vary']).toBe('Accept-Encoding');
      expect(bytes.equals(expected.bytes)).toBe(true);
    }
    const short = await fetchRaw(`${compressing.url}/health/live`, { 'Accept-Encoding': 'gzip' });
    expect(short.headers['content-encoding']).toBeUndefined();
  });

  it('keeps the weak ETag, and 304 and HEAD have no body', async () => {
    const url = `${compressing.url}/openapi.json`;
    const accepted = { 'Accept-Encoding': 'gzip' };
    const [compressed, identical] = [await fetchRaw(url, accepted), await fetchRaw(url, {})];
    expect(gunzipSync(compressed.bytes).equals(identical.bytes)).toBe(true);
    const { etag = '' } = compressed.headers;
    expect(etag).toMatch(/^W\//);
    expect(identical.headers.etag).toBe(etag);
    for (const headers of [accepted, {}]) {
      const again = await fetchRaw(url, { ...headers, 'If-None-Match': etag });
      expect(again).toMatchObject({ status: 304, headers: { etag, vary: 'Accept-Encoding' } });
      expect(again.bytes).toHaveLength(0);
      const head = await fetchRaw(url, headers, 'HEAD');
      expect(head).toMatchObject({ status: 200, headers: { etag, vary: 'Accept-Encoding' } });
      expect(head.bytes).toHaveLength(0);
    }
  });

  it('leaves files and parts of files as they are', async () => {
    const ada = await signUp(compressing.api, 'ada');
    const text = 'All work and no play makes a dull text. '.repeat(200);
    const { id } = await upload(compressing.api, ada, text, 'dull.txt');
    const headers = { Authorization: `Bearer ${ada.token}`, 'Accept-Encoding': 'gzip, br' };
    const whole = await fetchRaw(`${compressing.url}/api/upload/${id}`, headers);
    expect(whole.headers).toMatchObject({
      'content-length': String(text.length),
      etag: expect.stringMatching(/^"/),
    });
    expect(whole.headers['content-encoding']).toBeUndefined();
    expect(whole.bytes.toString()).toBe(text);
    const range = { ...headers, Range: 'bytes=2000-5999' };
    const part = await fetchRaw(`${compressing.url}/api/upload/${id}`, range);
    expect(part).toMatchObject({ status: 206, headers: { 'content-length': '4000' } });
    expect(part.bytes.toString()).toBe(text.slice(2000, 6000));
    // The page of the API documentation has files, too.
    const script = `${compressing.url}/api-docs/swagger-ui.css`;
    const asset = await fetchRaw(script, headers);
    expect(asset.headers).toMatchObject({ 'content-encoding': 'br', etag: expect.stringMatching(/^W\//) });
    const original = await fetchRaw(script, {});
    expect(brotliDecompressSync(asset.bytes).equals(original.bytes)).toBe(true);
    const some = await fetchRaw(script, range);
    expect(some.status).toBe(206);
    expect(some.headers['content-encoding']).toBeUndefined();
    expect(some.bytes.equals(original.bytes.subarray(2000, 6000))).toBe(true);
  });

  it('is left out for every answer with a secret', async () => {
    const document = (await compressing.api.get('/openapi.json')).body;
    const routes = apiRoutes(compressing.context, 'test');
    const withSecrets = routes.filter(({ path, method, operationId }) => {
      const operation = document.paths[path.replace(/:(\w+)/g, '{$1}')][method];
      const bodies = Object.entries<any>(operation.responses)
        .filter(([status]) => status.startsWith('2'))
        .flatMap(([, { content = {} }]) => Object.values<any>(content).map(({ schema }) => schema));
      return (
        !WITH_ERROR_CODES.includes(operationId) &&
        bodies.some((schema) => hasSecret(schema, document, new Set()))
      );
    });
    expect(withSecrets.map(({ operationId }) => operationId)).toEqual(
      expect.arrayContaining(['login', 'startCall', 'createInvite', 'linkAttachments']),
    );
    expect(withSecrets.filter(isCompressible).map(({ operationId }) => operationId)).toEqual([]);
    // As seen by a client: the answer is long enough to be compressed.
    const { username } = await signUp(compressing.api, 'a'.repeat(20));
    const logIn = await fetchRaw(
      `${compressing.url}/api/auth/login`,
      { 'Accept-Encoding': 'gzip', 'Content-Type': 'application/json' },
      'POST',
      JSON.stringify({ identifier: username, password: PASSWORD }),
    );
    expect(logIn.status).toBe(200);
    expect(logIn.headers['content-encoding']).toBeUndefined();
    expect(logIn.headers['vary'] ?? '').not.toMatch(/accept-encoding/i);
  });

  it('is left out for answers over sockets', async () => {
    const { ada, url } = await history(compressing);
    const channelId = url.split('/').at(-2);
    const polling = `${compressing.url}/socket.io/?EIO=4&transport=polling`;
    const opened = await fetchRaw(polling, {});
    const { sid } = JSON.parse(opened.bytes.toString().slice(1));
    const post = (packet: string) =>
      fetchRaw(`${polling}&sid=${sid}`, { 'Content-Type': 'text/plain' }, 'POST', packet);
    const poll = () => fetchRaw(`${polling}&sid=${sid}`, { 'Accept-Encoding': 'gzip' });
    await post(`40${JSON.stringify({ token: ada.token })}`);
    await poll();
    const message = { channelId, clientMessageId: 'long', body: 'A long text. '.repeat(300) };
    await post(`421${JSON.stringify(['message:send', message])}`);
    let answer = await poll();
    while (!answer.bytes.includes('A long text. A long text.')) answer = await poll();
    expect(answer.bytes.length).toBeGreaterThan(2000);
    expect(answer.headers['content-encoding']).toBeUndefined();
    const webSocket = new WebSocket(
      `${compressing.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`,
    );
    await new Promise((resolve) => webSocket.once('open', resolve));
    expect(webSocket.extensions).toBe('');
    webSocket.terminate();
  });
});

/** What secrets are called in answers. */
const SECRET_NAME = /token$|ticket$|^secret$|^credential$|^recoveryCodes$|^code$/i;
/** The operations whose `code` is that of an error. */
const WITH_ERROR_CODES = ['listErrors', 'explainPermission'];

/** Whether a JSON schema of the OpenAPI document has a property with a secret. */
function hasSecret(schema: any, document: any, seen: Set<string>): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  if (typeof schema.$ref === 'string') {
    if (seen.has(schema.$ref)) return false;
    seen.add(schema.$ref);
    return hasSecret(document.components.schemas[schema.$ref.split('/').at(-1)], document, seen);
  }
  const properties = Object.entries<any>(schema.properties ?? {});
  return (
    properties.some(([name, { example }]) => SECRET_NAME.test(name) || String(example).includes('ticket=')) ||
    [
      ...properties.map(([, value]) => value),
      ...[schema.items, schema.additionalProperties],
      ...[schema.anyOf, schema.oneOf, schema.allOf].flatMap((some) => some ?? []),
    ].some((part) => hasSecret(part, document, seen))
  );
}
