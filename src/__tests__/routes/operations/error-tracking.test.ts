import type { Api } from '../../fixtures/api';
import { ErrorCollector, type ReportedEvent } from '../../fixtures/error-collector';
import { createRoom, signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

const TOKEN = `eyJ${'a'.repeat(20)}.eyJ${'b'.repeat(20)}.${'c'.repeat(43)}`;
const REFRESH = `${'1'.repeat(24)}.${'d'.repeat(43)}.${'e'.repeat(43)}`;
const WORDS = 'the text of a private message';

/** An error with everything in it that must not leave the server. */
function leakyError(): Error {
  const message = `E11000 for Bearer ${TOKEN} and ${REFRESH} at mongodb://ada:hunter22@db/x dup key: { body: "${WORDS}" }`;
  return Object.assign(new Error(message, { cause: new Error(`/reset?token=${'f'.repeat(43)}`) }), {
    writeErrors: [{ op: { body: WORDS } }],
  });
}

const failRequest = async (server: TestServer, api: Api, { token }: Person) => {
  jest.spyOn(server.context.services.search, 'messages').mockRejectedValueOnce(leakyError());
  return api.get('/api/search/messages', token, { query: 'words' });
};

describe('errors of the server', () => {
  const collector = new ErrorCollector();
  let server: TestServer;
  let ada: Person;

  beforeAll(async () => {
    server = await startTestServer({ SENTRY_DSN: await collector.start() });
    ada = await signUp(server.api, 'ada');
  });
  afterAll(async () => {
    await server.close();
    await collector.close();
  });

  const reported = async (matches: (event: ReportedEvent) => boolean) => {
    await until(() => collector.events.some(matches));
    return collector.events.find(matches)!;
  };

  it('of requests, socket events and jobs are reported, without secrets and texts', async () => {
    const { status, headers } = await failRequest(server, server.api, ada);
    expect(status).toBe(500);
    const { channelId } = await createRoom(server.api, ada, []);
    const client = await connect(server.url, ada.token);
    jest.spyOn(server.context.services.messages, 'send').mockRejectedValueOnce(leakyError());
    await client.ask('message:send', { channelId, clientMessageId: 'one', body: WORDS });
    client.close();
    const run = () => Promise.reject(leakyError());
    server.context.jobs.add({ name: 'broken', scope: 'node', intervalMs: 60_000, run }).start();

    expect(await reported(({ logger }) => logger === 'request failed')).toMatchObject({
      level: 'error',
      tags: { route: '/api/search/messages', request_id: headers['x-request-id'] },
      user: { id: ada.id },
      exception: { values: [{ value: '/reset?token=[redacted]' }, { type: 'Error' }] },
      release: expect.stringContaining('parley@'),
      environment: 'test',
    });
    const event = await reported(({ logger }) => logger === 'socket event failed');
    expect(event).toMatchObject({ tags: { event: 'message:send' }, user: { id: ada.id } });
    expect(event.exception.values[1]!.stacktrace.frames.at(-1)).toMatchObject({ function: 'leakyError' });
    expect(await reported(({ tags }) => tags['job'] === 'broken')).toBeDefined();
    const secrets = [TOKEN, REFRESH, WORDS, 'hunter22', ada.token, ...'cdef'].map((each) =>
      each.length > 1 ? each : each.repeat(43),
    );
    for (const secret of secrets) expect(collector.received).not.toContain(secret);
    expect(collector.events).toHaveLength(3);
  });

  it('are not reported when they are those of callers', async () => {
    const before = collector.requests;
    expect((await server.api.get('/api/nowhere', ada.token)).status).toBe(404);
    expect((await server.api.get('/api/auth/me', 'no token')).status).toBe(401);
    await failRequest(server, server.api, ada);
    await until(() => collector.requests > before);
    expect(collector.requests).toBe(before + 1);
  });

  it('are limited in number', async () => {
    for (let count = 0; count < 70; count++) await failRequest(server, server.api, ada);
    await until(() => collector.requests >= 60);
    await failRequest(server, server.api, ada);
    expect(collector.requests).toBe(60);
  });
});

describe('a collector that', () => {
  it.each([
    ['never answers', () => new ErrorCollector('never')],
    ['refuses', () => new ErrorCollector(503)],
    ['is away', () => undefined],
  ])('%s neither delays requests nor the shutdown', async (_, create) => {
    const collector = create();
    const dsn = (await collector?.start()) ?? 'http://publickey@127.0.0.1:1/42';
    const server = await startTestServer({ SENTRY_DSN: dsn });
    const ada = await signUp(server.api, 'ada');
    for (let count = 0; count < 50; count++) {
      expect((await failRequest(server, server.api, ada)).status).toBe(500);
    }
    expect((await server.api.get('/api/auth/me', ada.token)).status).toBe(200);
    const started = performance.now();
    await server.close();
    // The time-out of a request is ten seconds.
    expect(performance.now() - started).toBeLessThan(8000);
    await collector?.close();
  });
});
