import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../../../services/kernel/metrics';
import { parseScrape, selectorsOf, type ScrapedMetric } from '../../fixtures/exposition';
import { setAvatar } from '../../fixtures/images';
import { sendMessage } from '../../fixtures/messages';
import { joinCall, Peer } from '../../fixtures/peer';
import { createRoom, signUp, signUpAll } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';
import { send, upload } from '../../fixtures/uploads';

const TOKEN = 'a token of 16 characters or more';
const servers: TestServer[] = [];

async function start(settings: Record<string, string>): Promise<TestServer> {
  const server = await startTestServer(settings);
  servers.push(server);
  return server;
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('metrics', () => {
  it('are not served by default', async () => {
    const { url } = await start({});
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
  });

  it('are served on a listener of their own, and not on the public one', async () => {
    const server = await start({ METRICS_PORT: '0' });
    const { metricsUrl } = server;
    expect(new URL(metricsUrl).hostname).toBe('127.0.0.1');
    const answer = await fetch(metricsUrl);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const text = await answer.text();
    for (const name of ['parley_build_info', 'process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds'])
      expect(text).toContain(`# HELP ${name} `);
    expect(text).toMatch(/^parley_database_bytes\{part="storage"\} [1-9]/m);
    expect(text).toMatch(/^parley_disk_free_bytes\{folder="data"\} [1-9]/m);
    expect((await fetch(metricsUrl, { method: 'POST' })).status).toBe(405);
    expect((await fetch(new URL('/health/live', metricsUrl))).status).toBe(404);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
  });

  it.each([
    ['on the public listener', {}],
    ['on a listener of their own', { METRICS_PORT: '0' }],
  ])('require the token %s', async (_, settings) => {
    const token = TOKEN.replaceAll(' ', '-');
    const server = await start({ METRICS_TOKEN: token, ...settings });
    const url = 'METRICS_PORT' in settings ? server.metricsUrl : `${server.url}/metrics`;
    for (const options of [{}, bearer(''), bearer(token.slice(1)), bearer(`${token}x`), bearer('x')]) {
      const refused = await fetch(url, options);
      expect(refused.status).toBe(401);
      expect(await refused.text()).not.toContain('parley');
    }
    expect((await fetch(`${url}?token=${token}`)).status).toBe(401);
    const answer = await fetch(url, bearer(token));
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store']);
    expect(await answer.text()).toContain('parley_build_info');
  });

  it('that cannot be read are an error of this request alone', async () => {
    const server = await start({ METRICS_PORT: '0' });
    const { telemetry } = server.context;
    jest.spyOn(telemetry, 'text').mockRejectedValueOnce(new Error('broken'));
    expect((await fetch(server.metricsUrl)).status).toBe(500);
    expect((await fetch(server.metricsUrl)).status).toBe(200);
  });
});

/** Uses what the metrics are about. @returns ids and names that must not be in them. */
async function useEverything(server: TestServer): Promise<string[]> {
  const { api, url } = server;
  await signUp(api, 'root');
  const { ada, bruno } = await signUpAll(api, 'ada', 'bruno');
  const { channelId, groupId } = await createRoom(api, ada, [bruno]);
  const sockets = [
    await connect(url, ada.token, { transports: ['websocket'] }),
    await connect(url, bruno.token, { transports: ['polling'] }),
  ];
  await sockets[0]!.ask('message:send', { channelId, clientMessageId: 'one', body: 'private words' });
  await sockets[1]!.waitForMessage(({ message }) => message.clientMessageId === 'one');
  await sockets[1]!.ask('message:send', { channelId: 'x', clientMessageId: 'two', body: 'private words' });
  await sockets[1]!.ask('typing:start', { channelId });
  await expect(connect(url, 'no token')).rejects.toThrow();
  await api.get('/api/search/messages', ada.token, { query: 'words' });
  await sendMessage(api, channelId, ada);
  await upload(api, ada);
  expect((await send(api, ada, Buffer.alloc(100))).status).toBe(415);
  await setAvatar(api, ada);
  await api.post('/api/auth/login', { identifier: ada.username, password: 'a wrong one' });
  const [caller, called] = await joinCall(api, ada, bruno);
  const peers = [caller, called].map(({ id, ticket }) => new Peer(url, id, ticket));
  for (const peer of peers) await peer.receives(({ type }) => type === 'OPEN');
  const refused = new Peer(url, caller.id, `${caller.ticket}x`);
  await refused.closed;
  const reports = [{ userId: bruno.id, roundTripMs: 80, packetLossPercent: 1 }];
  await api.post(`/api/video-calls/${caller.callId}/quality`, { reports }, ada.token);
  jest.spyOn(server.context.services.search, 'messages').mockRejectedValueOnce(new Error('broken'));
  expect((await api.get('/api/search/messages', ada.token, { query: 'words' })).status).toBe(500);
  await until(() => server.context.jobs.status().some(({ runs }) => runs > 0));
  for (const socket of sockets) socket.close();
  for (const peer of peers) await peer.close();
  return [ada.id, bruno.id, ada.username, channelId, groupId, caller.callId, 'private words', '127.0.0.1'];
}

/** Metrics that exist only with Redis. */
const WITH_REDIS = [
  METRICS.redisConnected,
  METRICS.redisPings,
  METRICS.redisFailures,
  METRICS.nodes,
  METRICS.nodeFresh,
  METRICS.relayedEvents,
  METRICS.relayLosses,
  METRICS.relayStored,
  METRICS.relayConfirmations,
  METRICS.peerFramesRelayed,
  METRICS.forwarded,
  METRICS.forwardedConnections,
];

/** Metrics of what this test does not cause. */
const NOT_CAUSED = new Set<string>([
  METRICS.batchRetries.name,
  METRICS.connectionsEnded.name,
  ...(HAS_REDIS ? [] : WITH_REDIS.map(({ name }) => name)),
]);

describe('under traffic', () => {
  let scrape: Map<string, ScrapedMetric>;
  let text: string;
  let tabu: string[];

  let redis: RedisProcess | undefined;
  let server: TestServer | undefined;

  afterAll(async () => {
    await server?.close();
    await redis?.close();
  });

  beforeAll(async () => {
    redis = HAS_REDIS ? await startRedis() : undefined;
    const { metricsUrl } = (server = await startTestServer({
      METRICS_PORT: '0',
      PEERJS_ENABLED: 'true',
      BACKUP_SCHEDULE: '1d',
      ...(redis && { REDIS_URL: redis.url }),
    }));
    tabu = await useEverything(server);
    const read = async () => (text = await (await fetch(metricsUrl)).text());
    // Redis is pinged every few seconds.
    const ping = /^parley_redis_ping_duration_seconds_count [1-9]/m;
    await until(async () => !redis || ping.test(await read()));
    await until(async () => /^parley_backup_size_bytes [1-9]/m.test(await read()));
    await read();
    scrape = parseScrape(text);
  });

  it('every metric has samples, with the labels of its definition', () => {
    for (const { name, kind, labels, help } of Object.values(METRICS)) {
      if (NOT_CAUSED.has(name)) continue;
      const metric = scrape.get(name);
      expect(metric).toMatchObject({ type: kind, help });
      const samples = [...metric!.samples.values()].flat();
      expect([name, samples.length > 0]).toEqual([name, true]);
      for (const { labels: own } of samples) {
        expect(
          Object.keys(own)
            .filter((label) => label !== 'le')
            .sort(),
        ).toEqual([...labels].sort());
      }
    }
  });

  it('the values are those of what has happened', () => {
    const valueOf = (name: string, labels: Record<string, string> = {}) => {
      const [, metric] = [...scrape].find(([own]) => name.startsWith(own))!;
      const matching = metric.samples
        .get(name)!
        .filter(({ labels: own }) => Object.entries(labels).every(([label, value]) => own[label] === value));
      return matching.reduce((sum, { value }) => sum + value, 0);
    };
    expect(valueOf('parley_message_batch_messages_sum')).toBeGreaterThanOrEqual(2);
    expect(
      valueOf('parley_socket_event_errors_total', { event: 'message:send', code: 'validation_failed' }),
    ).toBe(1);
    // Each of two messages was sent to both sockets; the sender of an event gets it, too.
    expect(valueOf('parley_socket_deliveries_total')).toBeGreaterThanOrEqual(4);
    expect(valueOf('parley_uploads_total', { outcome: 'unsupported_media_type' })).toBe(1);
    expect(valueOf('parley_http_requests_total', { route: '/api/search/messages', status: '500' })).toBe(1);
    expect(valueOf('parley_connections_opened_total', { protocol: 'peerjs' })).toBe(2);
    expect(valueOf('parley_connections_refused_total', { protocol: 'peerjs', code: 'ticket_invalid' })).toBe(
      1,
    );
    expect(valueOf('parley_call_packet_loss_ratio_sum')).toBeCloseTo(0.01);
    expect(valueOf('parley_calls_open')).toBe(1);
  });

  it('nothing in the metrics identifies users or quotes them', () => {
    for (const each of tabu) expect(text).not.toContain(each);
    expect(text).not.toMatch(/[0-9a-f]{24}/);
  });

  const deploy = join(__dirname, '..', '..', '..', '..', 'deploy');
  const dashboard = readFileSync(join(deploy, 'grafana', 'parley.json'), 'utf8');
  const alerts = readFileSync(join(deploy, 'prometheus', 'parley-alerts.yml'), 'utf8');
  const inDashboard = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(([, json]) =>
    JSON.parse(json!),
  );
  const inAlerts = [...alerts.matchAll(/^ +expr: (.*)$/gm)].map(([, expression]) => expression!);

  it.each([
    ['the dashboard', inDashboard, 60],
    ['the alert rules', inAlerts, 15],
  ])('%s names only metrics, labels and values that exist', (_, expressions, atLeast) => {
    expect(expressions.length).toBeGreaterThanOrEqual(atLeast);
    const samples = new Map([...scrape.values()].flatMap((metric) => [...metric.samples]));
    const known = new Set([...scrape.keys(), ...samples.keys()]);
    const absent = new Set(NOT_CAUSED);
    for (const expression of expressions) {
      const { selectors, groupedBy } = selectorsOf(expression);
      expect([expression, selectors.length > 0 || expression.startsWith('up{')]).toEqual([expression, true]);
      const labels = new Set<string>();
      for (const { name, equal } of selectors) {
        const own = samples.get(name) ?? [];
        const definition = Object.values(METRICS).find(
          (each) => name.replace(each.kind === 'histogram' ? /_(bucket|sum|count)$/ : '', '') === each.name,
        );
        for (const label of definition?.labels ?? Object.keys(own[0]?.labels ?? {})) labels.add(label);
        if (absent.has(definition?.name ?? '')) continue;
        expect([expression, name, known.has(name)]).toEqual([expression, name, true]);
        for (const [label, value] of equal) {
          const exists = own.some((sample) => sample.labels[label] === value);
          expect([expression, label, value, exists]).toEqual([expression, label, value, true]);
        }
      }
      for (const label of groupedBy)
        expect([expression, label, labels.has(label)]).toEqual([expression, label, true]);
    }
  });
});
