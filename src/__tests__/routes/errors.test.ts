import { ObjectId } from 'mongodb';
import { request } from 'node:http';
import { pino } from 'pino';
import supertest from 'supertest';
import { gzipSync } from 'node:zlib';
import { createContext } from '../../context';
import { startServer } from '../../start-server';
import { createApi } from '../fixtures/api';
import { signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';
import { connect } from '../fixtures/sockets';

let server: TestServer;
let person: Person;

beforeAll(async () => {
  server = await startTestServer();
  person = await signUp(server.api);
});
afterAll(() => server.close());

const REGISTER = '/api/auth/register';

/** Sends a raw body. The form of the answer is checked here, as the API client does elsewhere. */
async function sendRaw(body: string | Buffer, headers: Record<string, string> = {}, path = REGISTER) {
  const call = supertest(server.url)
    .post(path)
    .set({ 'Content-Type': 'application/json', ...headers });
  // Otherwise supertest would encode the bytes as JSON again.
  call.serialize((content) => content as string);
  const answer = await call.send(body as string);
  expect(answer.body).toEqual({
    error: {
      code: expect.any(String),
      message: expect.any(String),
      requestId: answer.headers['x-request-id'],
      ...(answer.body.error?.details && { details: expect.any(Array) }),
    },
  });
  return { status: answer.status, code: answer.body.error.code as string };
}

describe('a request body', () => {
  it.each(['{', '{"a":1,}', "{'a':1}", 'null', '"text"', '1', 'undefined', '{"a":1}{"b":2}', '['])(
    '%j is malformed',
    async (body) => {
      expect(await sendRaw(body)).toEqual({ status: 400, code: 'malformed_json' });
    },
  );

  it('is refused when malformed, even where no body is expected', async () => {
    expect(await sendRaw('{', { Authorization: `Bearer ${person.token}` }, '/api/auth/logout')).toEqual({
      status: 400,
      code: 'malformed_json',
    });
  });

  it.each(['[]', '{}', '[[{}]]', '[1]'])('%j is not an object and is refused', async (body) => {
    expect(await sendRaw(body)).toEqual({ status: 400, code: 'validation_failed' });
  });

  it('of more than 128 kB is too large; up to that size it is validated', async () => {
    const bodyOf = (bytes: number) => JSON.stringify({ a: 'x'.repeat(bytes - '{"a":""}'.length) });
    expect(await sendRaw(bodyOf(128 * 1024))).toEqual({ status: 400, code: 'validation_failed' });
    expect(await sendRaw(bodyOf(128 * 1024 + 1))).toEqual({ status: 413, code: 'payload_too_large' });
  });

  it('that unpacks to more than that is too large as well', async () => {
    const packed = gzipSync(JSON.stringify({ a: 'x'.repeat(10_000_000) }));
    expect(packed.length).toBeLessThan(20_000);
    expect(await sendRaw(packed, { 'Content-Encoding': 'gzip' })).toEqual({
      status: 413,
      code: 'payload_too_large',
    });
  });

  it('may be compressed', async () => {
    const packed = gzipSync(JSON.stringify({ username: 'x' }));
    expect((await sendRaw(packed, { 'Content-Encoding': 'gzip' })).code).toBe('validation_failed');
  });

  it('with a wrong Content-Encoding is malformed', async () => {
    const { status } = await sendRaw('{}', { 'Content-Encoding': 'gzip' });
    expect(status).toBe(400);
  });

  it.each([
    ['text/plain', {}],
    ['application/x-www-form-urlencoded', {}],
    ['application/xml', {}],
    ['multipart/form-data; boundary=x', {}],
    ['nonsense', {}],
    ['application/json; charset=latin1', {}],
    ['application/json', { 'Content-Encoding': 'compress' }],
  ])('as %s %j is not supported', async (type, headers) => {
    expect(await sendRaw('{"username":"x"}', { 'Content-Type': type, ...headers })).toEqual({
      status: 415,
      code: 'unsupported_media_type',
    });
  });

  it('nested a hundred thousand levels deep does no harm', async () => {
    const deep = '['.repeat(60_000) + ']'.repeat(60_000);
    expect(await sendRaw(deep)).toEqual({ status: 400, code: 'validation_failed' });
    const inField = `{"username":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`;
    expect(await sendRaw(inField)).toEqual({ status: 400, code: 'validation_failed' });
  });
});

describe('an error message', () => {
  const details = async (call: Promise<any>): Promise<[string, string, string]> => {
    const { status, body } = await call;
    expect([status, body.error.code]).toEqual([400, 'validation_failed']);
    return [body.error.message, body.error.details[0].path, body.error.details[0].message];
  };

  it('names the bounds of every numeric query parameter of every route', async () => {
    const { body: document } = await server.api.get('/openapi.json');
    const parameters = Object.entries<any>(document.paths).flatMap(([path, methods]) =>
      Object.entries<any>(methods).flatMap(([method, { parameters = [] }]) =>
        parameters
          .filter((each: any) => each.in === 'query' && each.schema.type === 'integer')
          .map(({ name, schema }: any) => ({ method, path, name, schema })),
      ),
    );
    expect(parameters.length).toBeGreaterThan(40);
    for (const { method, path, name, schema } of parameters) {
      const { minimum, maximum } = schema;
      const address = path.replace('{emoji}', encodeURIComponent('👍')).replace(/\{\w+\}/g, '0'.repeat(24));
      for (const value of [`${BigInt(maximum) + 1n}`, `${minimum - 1}`, `${minimum}.5`, '1e1', 'many', '']) {
        const query = { [name]: value };
        const { status, body } = await server.api.call(method, address, { token: person.token, query });
        const said = body.error?.details?.find((issue: any) => issue.path === name);
        const message = `must be a whole number from ${minimum} to ${maximum}`;
        expect([path, query, status, said]).toEqual([path, query, 400, { path: name, message }]);
      }
    }
  });

  it('names missing fields, unknown fields and their paths', async () => {
    const post = (body: unknown) => server.api.post('/api/groups', body, person.token);
    expect(await details(post(undefined))).toEqual(['body: is required', '', 'is required']);
    expect(await details(post([]))).toEqual(['body: must be an object', '', 'must be an object']);
    expect(await details(post({}))).toEqual(['name: is required', 'name', 'is required']);
    expect(await details(post({ name: 5 }))).toEqual(['name: must be text', 'name', 'must be text']);
    const unknown = await details(server.api.get('/api/groups', person.token, { page: 2 }));
    expect(unknown[0]).toBe('query: must not have "page"');
    const tooLong = { name: 'x', visibility: 'public', ['k'.repeat(5000)]: 1, a: 1, b: 1, c: 1, d: 1 };
    expect((await details(post(tooLong)))[0]).toMatch(/^body: must not have "k{40}", "a", "b" and 2 others$/);
  });

  it.each([
    ['visibility', 'secret', 'must be one of public, private'],
    ['visibility', null, 'must be one of public, private'],
    ['description', 'x'.repeat(5000), expect.stringMatching(/^must have at most \d+ characters$/)],
    ['name', '', 'must not be empty'],
  ])('describes the expected value of %s for %j', async (field, value, message) => {
    const [, path, said] = await details(
      server.api.post('/api/groups', { name: 'x', [field]: value }, person.token),
    );
    expect([path, said]).toEqual([field, message]);
  });

  it.each([
    ['doNotDisturbUntil', 'tomorrow', 'must be a time in UTC by ISO 8601, such as 2026-01-31T12:00:00Z'],
    ['invisible', 'yes', 'must be true or false'],
    ['extras', [], 'must be an object'],
  ])('describes the expected value of the preference %s for %j', async (field, value, message) => {
    const call = server.api.call('patch', '/api/client/preferences', {
      token: person.token,
      body: { [field]: value },
    });
    expect((await details(call)).slice(1)).toEqual([field, message]);
  });

  it('is as clear over sockets', async () => {
    const client = await connect(server.url, person.token, { reconnection: false });
    const answer: any = await client.ask('message:send', { channelId: 5, extra: true });
    client.close();
    expect(answer.error.details).toEqual(
      expect.arrayContaining([
        { path: 'channelId', message: 'must be text' },
        { path: 'clientMessageId', message: 'is required' },
        { path: '', message: 'must not have "extra"' },
      ]),
    );
  });
});

describe('a request path', () => {
  it.each([
    ['get', '/nowhere'],
    ['get', '/api'],
    ['get', '/api/groups/x/y/z'],
    ['put', '/api/groups'],
    ['delete', '/health/live'],
    ['get', '/api/auth/login'],
    ['get', '/.env'],
    ['get', '/../package.json'],
  ] as const)('that no route matches is not found: %s %s', async (method, path) => {
    const answer = await server.api.call(method, path, { token: person.token });
    expect(answer).toMatchObject({ status: 404, body: { error: { code: 'route_not_found' } } });
  });

  it.each(['/api/users/%', '/api/users/%E0%A4%A', '/api/groups/%ff/join'])(
    'that cannot be decoded is a bad request: %s',
    async (path) => {
      // supertest would refuse to send it.
      const { hostname, port } = new URL(server.url);
      const [status, text] = await new Promise<[number, string]>((resolve, reject) => {
        const method = path.endsWith('join') ? 'POST' : 'GET';
        const headers = { Authorization: `Bearer ${person.token}` };
        request({ hostname, port, path, method, headers }, (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.on('end', () => resolve([response.statusCode!, body]));
        })
          .on('error', reject)
          .end();
      });
      expect([status, JSON.parse(text).error.code]).toEqual([400, 'bad_request']);
    },
  );
});

describe('a request id', () => {
  const idFor = async (given?: string) => {
    const headers = given === undefined ? {} : { 'X-Request-Id': given };
    const answer = await server.api.call('get', '/nowhere', { headers });
    expect(answer.body.error.requestId).toBe(answer.headers['x-request-id']);
    return answer.headers['x-request-id']!;
  };

  it('is generated for each request', async () => {
    const [one, two] = [await idFor(), await idFor()];
    expect(one).toMatch(/^[0-9a-f-]{36}$/);
    expect(two).not.toBe(one);
  });

  it('is taken from a proxy if it is well-formed', async () => {
    expect(await idFor('trace-42_a')).toBe('trace-42_a');
    for (const wrong of ['x'.repeat(65), 'a b', '{"a":1}', '<b>', '']) {
      expect(await idFor(wrong)).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describe('an internal error', () => {
  it('hides its cause from the caller and logs it under the request id', async () => {
    const lines: any[] = [];
    const logger = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    const { config, database } = server.context;
    const context = await createContext(config, { database, logger });
    const logged = await startServer(context);
    const api = await createApi(logged.url);
    // A document that no version of the server would have written.
    const _id = new ObjectId();
    await database.db.collection('users').insertOne({ _id, username: 'broken', email: 'broken@example.org' });

    const answer = await api.get(`/api/users/${_id.toHexString()}`, person.token);
    expect(answer.status).toBe(500);
    expect(answer.body).toEqual({
      error: {
        code: 'internal_error',
        message: expect.any(String),
        requestId: answer.headers['x-request-id'],
      },
    });
    const failure = lines.find(({ msg }) => msg === 'request failed');
    expect(failure).toMatchObject({ level: 50, req: { id: answer.headers['x-request-id'] } });
    expect(failure.err.stack).toContain('src/models/user.model.ts');
    expect(JSON.stringify(answer.body)).not.toContain(failure.err.message);
    expect(JSON.stringify(lines)).not.toContain(person.token);
    await logged.close();
    await context.close();
  });
});
