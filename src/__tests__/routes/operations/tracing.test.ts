import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createRoom, signUp } from '../../fixtures/people';
import { startTestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: number };
}

interface Span {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: Attribute[];
  status: { code?: number };
}

const ENVIRONMENT = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_SERVICE_NAME', 'OTEL_BSP_SCHEDULE_DELAY'] as const;

afterEach(() => {
  for (const name of ENVIRONMENT) delete process.env[name];
});

/** A collector that keeps the spans which it receives as OTLP over HTTP. */
async function startCollector() {
  const spans: Span[] = [];
  let received = '';
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      received += `${request.url} ${body}`;
      for (const { scopeSpans } of JSON.parse(body).resourceSpans)
        for (const { spans: own } of scopeSpans) spans.push(...own);
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    spans,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    text: () => received,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

const attributesOf = ({ attributes }: Span) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));

it('spans of requests, socket events, commands, batches and jobs are sent to a collector', async () => {
  const collector = await startCollector();
  const { spans } = collector;
  const environment = {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_SERVICE_NAME: 'chat',
    OTEL_BSP_SCHEDULE_DELAY: '50',
  };
  Object.assign(process.env, environment);
  const server = await startTestServer(environment, { monitorCommands: true });
  const ada = await signUp(server.api, 'ada');
  const { channelId } = await createRoom(server.api, ada, []);
  const client = await connect(server.url, ada.token);
  const body = 'the text of a private message';
  await client.ask('message:send', { channelId, clientMessageId: 'one', body });
  await client.ask('message:send', { channelId: ada.id, clientMessageId: 'two', body });
  client.close();
  const [traceId, parentId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
  const headers = { traceparent: `00-${traceId}-${parentId}-01` };
  await server.api.call('get', `/api/users/${ada.id}`, { token: ada.token, headers });
  jest
    .spyOn(server.context.services.search, 'messages')
    .mockRejectedValueOnce(new Error(`about ${ada.token}`));
  await server.api.get('/api/search/messages', ada.token, { query: 'words' });

  const find = async (matches: (span: Span) => boolean) => {
    await until(() => spans.some(matches));
    return spans.find(matches)!;
  };
  const request = await find((span) => span.traceId === traceId && span.parentSpanId === parentId);
  expect(request.name).toBe('GET /api/users/:userId');
  expect(attributesOf(request)).toEqual({
    'http.request.method': 'GET',
    'http.route': '/api/users/:userId',
    'http.response.status_code': 200,
  });
  const command = await find((span) => span.parentSpanId === request.spanId);
  expect(attributesOf(command)).toMatchObject({ 'db.system.name': 'mongodb', 'db.operation.name': 'find' });
  const batch = await find(({ name }) => name === 'message batch');
  expect(batch.parentSpanId ?? '').toBe('');
  // Not every database has bulkWrite.
  const writes = ['bulkWrite', 'insert messages'];
  await find(({ parentSpanId, name }) => parentSpanId === batch.spanId && writes.includes(name));
  await find(({ name }) => name === 'socket message:send');
  const refused = await find(
    (span) => span.name === 'socket message:send' && attributesOf(span)['parley.error.code'] === 'not_found',
  );
  expect(refused.status.code ?? 0).toBe(0);
  const failed = await find(({ name }) => name === 'GET /api/search/messages');
  expect(failed.status.code).toBe(2);
  await find(({ name }) => name.startsWith('job '));
  expect(collector.text()).toContain('/v1/traces ');
  expect(collector.text()).toContain('{"key":"service.name","value":{"stringValue":"chat"}}');
  for (const secret of [body, ada.token, ada.username]) expect(collector.text()).not.toContain(secret);
  await server.close();
  await collector.close();
});

it('a collector that is away neither delays requests nor the shutdown', async () => {
  const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_BSP_SCHEDULE_DELAY: '10' };
  Object.assign(process.env, environment);
  const server = await startTestServer(environment);
  const ada = await signUp(server.api, 'ada');
  expect((await server.api.get('/api/auth/me', ada.token)).status).toBe(200);
  const start = performance.now();
  await server.close();
  // The time-out of an export is ten seconds.
  expect(performance.now() - start).toBeLessThan(8000);
});

it.each([
  {},
  { OTEL_EXPORTER_OTLP_ENDPOINT: '' },
  { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_SDK_DISABLED: 'true' },
  { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1:1', OTEL_TRACES_EXPORTER: 'none' },
])('no traces are sent with %j', async (environment) => {
  const server = await startTestServer(environment);
  expect(server.context.tracing).toBeUndefined();
  await server.close();
});
