import { startTestServer, type TestServer } from '../../fixtures/server';

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
