import supertest from 'supertest';
import { z } from 'zod';
import { createApp } from '../../app';
import { reply, replyRecords } from '../../controllers/reply';
import { publicRoute } from '../../routes/api-route';
import { signUp } from '../fixtures/people';
import { fillPath, mountedRoutes, operationsOf, type Operation } from '../fixtures/routes';
import { startTestServer, type TestServer } from '../fixtures/server';

let server: TestServer;
let document: any;
let operations: Operation[];

beforeAll(async () => {
  server = await startTestServer();
  ({ body: document } = await server.api.get('/openapi.json'));
  operations = operationsOf(document);
});
afterAll(() => server.close());

const described = () => operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`).sort();

describe('the OpenAPI document', () => {
  it('describes every mounted route and no other', () => {
    expect(mountedRoutes(createApp(server.context))).toEqual(described());
  });

  it('would miss a route that is not described', () => {
    const app = createApp(server.context);
    app.get('/api/forgotten/:id', () => {});
    expect(mountedRoutes(app).filter((route) => !described().includes(route))).toEqual([
      'GET /api/forgotten/{id}',
    ]);
  });

  it('describes the operations that the contract names', () => {
    for (const route of CONTRACT) expect(described()).toContain(route);
  });

  it('has version 3.1, unique operation ids and no dangling reference', () => {
    expect(document.openapi).toBe('3.1.0');
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(
      ([, path]) => path!,
    );
    expect(references.length).toBeGreaterThan(0);
    for (const path of references) {
      const target = path.split('/').reduce((node: any, key) => node?.[key], document);
      expect([path, typeof target]).toEqual([path, 'object']);
    }
    for (const { path, params } of operations) {
      expect([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)).toEqual(params);
    }
  });

  it('has no example of an idempotency key, which Swagger UI would fill in for everyone', () => {
    const parameters = operations.flatMap(
      ({ method, path }) => document.paths[path][method].parameters ?? [],
    );
    const keys = parameters.filter(({ name }: { name: string }) => name === 'Idempotency-Key');
    expect(keys.length).toBeGreaterThan(0);
    for (const key of keys) expect(JSON.stringify(key)).not.toContain('"example');
  });

  it('describes an answer for success and one for errors in each operation', () => {
    for (const { method, path } of operations) {
      const { responses } = document.paths[path][method];
      expect(Object.keys(responses).some((status) => /^2\d\d$/.test(status))).toBe(true);
      const error = responses.default.content['application/json'].schema;
      expect(error).toEqual({ $ref: '#/components/schemas/Error' });
    }
  });

  it('declares for each route whether it needs a token, and each route does so', async () => {
    const open = operations
      .filter(({ authenticated }) => !authenticated)
      .map(({ operationId }) => operationId);
    expect(open.sort()).toEqual([
      'forgotPassword',
      'getAsyncApi',
      'getAvatar',
      'getLinkedAttachment',
      'getOpenApi',
      'home',
      'isLive',
      'isReady',
      'login',
      'refresh',
      'register',
      'resetPassword',
      'stopEmailChange',
      'verifyEmail',
    ]);
    for (const { method, path, params, authenticated } of operations) {
      const values = Object.fromEntries(params.map((name) => [name, '0'.repeat(24)]));
      const answer = await server.api.call(method, fillPath(path, values));
      const refused = answer.body.error?.code === 'unauthenticated';
      expect([path, refused]).toEqual([path, authenticated]);
    }
  });
});

describe('caching headers', () => {
  const open = ['/', '/openapi.json', '/asyncapi.json'];

  it('forbid caching of every API answer, except documentation and files', async () => {
    const { token } = await signUp(server.api);
    for (const { method, path, params } of operations) {
      const filled = fillPath(path, Object.fromEntries(params.map((name) => [name, '0'.repeat(24)])));
      const answers = [await server.api.call(method, filled)];
      // The calls have a token and no body; logging out would end the session that the others need.
      if (!path.includes('/logout')) answers.push(await server.api.call(method, filled, { token }));
      for (const { headers } of answers) {
        const expected = open.includes(path) ? 'public, no-cache' : 'no-store';
        expect([method, path, headers['cache-control']]).toEqual([method, path, expected]);
      }
    }
  });

  it('forbid caching of answers to unknown routes and malformed JSON', async () => {
    const { url } = server;
    const answers = [
      await supertest(url).get('/api/nowhere').expect(404),
      await supertest(url).post('/api/auth/login').type('json').send('{').expect(400),
    ];
    for (const { headers } of answers) expect(headers['cache-control']).toBe('no-store');
  });

  it('allow caching of the documentation with revalidation', async () => {
    for (const path of [...open, '/api-docs/swagger-ui.css']) {
      const { headers } = await supertest(server.url).get(path).expect(200);
      expect([path, headers['cache-control']]).toEqual([path, 'public, no-cache']);
      await supertest(server.url).get(path).set('If-None-Match', headers['etag']!).expect(304);
    }
  });
});

describe('the documentation page', () => {
  it('exists, and loads this document', async () => {
    const page = await supertest(server.url).get('/api-docs/').expect(200).expect('Content-Type', /html/);
    expect(page.text).toContain('swagger-ui');
    const script = await supertest(server.url).get('/api-docs/swagger-ui-init.js').expect(200);
    expect(script.text).toContain('/openapi.json');
    await supertest(server.url).get('/api-docs/swagger-ui-bundle.js').expect(200);
  });

  it('is linked from the start page', async () => {
    const page = await supertest(server.url).get('/').expect(200).expect('Content-Type', /html/);
    expect(page.text).toContain('href="/api-docs"');
    await supertest(server.url).get('/api-docs').redirects(1).expect(200);
  });
});

// The type check fails when one of the expected errors does not occur.
describe('the types of a route', () => {
  const declared = { method: 'get', path: '/', operationId: 'get', tag: 'Test', summary: 'Test.' } as const;
  const name = { description: 'A name.', schema: z.strictObject({ name: z.string() }) };
  const nothing = { description: 'Nothing.' };
  async function* numbers() {
    yield await Promise.resolve(1);
  }

  it('accept the declared replies, each with a body of its schema', () => {
    const replies = { 200: name, 201: name, 204: nothing };
    const made = Math.random() < 0.5;
    const handlers = [
      () => Promise.resolve(reply(made ? 201 : 200, { name: 'Ada' })),
      () => Promise.resolve(reply(204)),
    ];
    for (const handle of handlers) publicRoute({ ...declared, replies, handle });
    const lines = { description: 'Numbers.', records: z.number() };
    publicRoute({
      ...declared,
      replies: { 200: lines },
      handle: () => Promise.resolve(replyRecords(numbers())),
    });
  });

  it('refuse another body, another status, a missing body and records of another type', () => {
    const replies = { 200: name, 204: nothing };
    // @ts-expect-error the body has a number where the schema has a string
    publicRoute({ ...declared, replies, handle: () => Promise.resolve(reply(200, { name: 1 })) });
    // @ts-expect-error the route declares no 201
    publicRoute({ ...declared, replies, handle: () => Promise.resolve(reply(201, { name: 'Ada' })) });
    // @ts-expect-error 200 has a body
    publicRoute({ ...declared, replies, handle: () => Promise.resolve(reply(200)) });
    // @ts-expect-error 204 has none
    publicRoute({ ...declared, replies, handle: () => Promise.resolve(reply(204, { name: 'Ada' })) });
    const lines = { 200: { description: 'Names.', lines: z.string() } };
    // @ts-expect-error the lines are numbers
    publicRoute({ ...declared, replies: lines, handle: () => Promise.resolve(replyRecords(numbers())) });
  });
});

const CONTRACT = `
POST /api/auth/register
POST /api/auth/login
POST /api/auth/refresh
POST /api/auth/logout
GET /api/auth/me
POST /api/groups
GET /api/groups
GET /api/groups/{groupId}
POST /api/groups/{groupId}/join
POST /api/groups/{groupId}/leave
GET /api/groups/{groupId}/members
POST /api/groups/{groupId}/members
DELETE /api/groups/{groupId}/members/{userId}
POST /api/channels
GET /api/channels
GET /api/channels/{channelId}
PATCH /api/channels/{channelId}
DELETE /api/channels/{channelId}
POST /api/channels/{channelId}/messages
GET /api/channels/{channelId}/messages
PATCH /api/messages/{messageId}
DELETE /api/messages/{messageId}
GET /openapi.json
GET /health/live
GET /health/ready`
  .trim()
  .split('\n');
