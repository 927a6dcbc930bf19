import { refused } from '../../fixtures/accounts';
import type { Api } from '../../fixtures/api';
import { signUp, type Person } from '../../fixtures/people';
import { startTestServer, type TestServer } from '../../fixtures/server';
import { connect } from '../../fixtures/sockets';
import { until } from '../../fixtures/until';

let server: TestServer;
let api: Api;
let root: Person;

beforeAll(async () => {
  server = await startTestServer();
  ({ api } = server);
  root = await signUp(api, 'root');
});
afterAll(() => server.close());

const get = async (path: string, query = {}) => {
  const { status, body } = await api.get(`/api/admin/${path}`, root.token, query);
  expect(status).toBe(200);
  return body;
};

it('the live connections are listed by user and device, with pages', async () => {
  const people = [await signUp(api, 'ada'), await signUp(api, 'bruno')].sort((a, b) =>
    a.id < b.id ? -1 : 1,
  );
  const begun = Date.now();
  const sockets = [];
  for (const { token } of [people[0]!, people[0]!, people[1]!])
    sockets.push(await connect(server.url, token));
  const first = await get('connections', { limit: 1 });
  expect(first.total).toEqual({ users: 2, connections: 3 });
  expect(first.users).toMatchObject([{ userId: people[0]!.id, username: people[0]!.username }]);
  expect(first.users[0].connections).toHaveLength(2);
  const [connection] = first.users[0].connections;
  expect(connection.address).toContain('127.0.0.1');
  expect(Date.parse(connection.since)).toBeGreaterThanOrEqual(begun - 1000);
  const next = await get('connections', { limit: 1, cursor: first.nextCursor });
  expect(next).toMatchObject({ users: [{ userId: people[1]!.id }], nextCursor: null });
  expect((await get('connections', { userId: people[1]!.id })).users).toHaveLength(1);
  await api.post(`/api/admin/users/${people[0]!.id}/logout`, undefined, root.token);
  await until(async () => (await get('connections')).total.connections === 1);
  for (const socket of sockets) socket.close();
});

it('the slowest endpoints are routes as declared, the slowest first', async () => {
  const names = async () => {
    const { endpoints } = await get('endpoints/slowest', { limit: 200 });
    const slow = endpoints.map(({ p95 }: { p95: number }) => p95);
    expect(slow).toEqual([...slow].sort((one, other) => other - one));
    return new Map<string, any>(endpoints.map((each: any) => [each.name, each]));
  };
  for (let call = 0; call < 3; call++) await api.get(`/api/users/${root.id}`, root.token);
  await until(async () => (await names()).get('GET /api/users/:userId')?.count >= 3);
  expect((await get('endpoints/slowest', { limit: 1 })).endpoints).toHaveLength(1);
});

it('errors are grouped by kind, without anything that a caller has sent', async () => {
  for (const name of ['tabu1', 'tabu2']) {
    await api.post('/api/auth/login', { identifier: name, password: 'wrong password' });
  }
  const { errors } = await get('errors');
  const failed = errors.find(({ code }: { code: string }) => code === 'invalid_credentials');
  expect(failed).toMatchObject({ name: 'POST /api/auth/login', count: 2 });
  expect(failed.requestId).toEqual(expect.any(String));
  expect(JSON.stringify(errors)).not.toContain('tabu');
});

it('background jobs report their last success and failure, and health reports a failing one', async () => {
  const known = new Set(['retention', 'scheduled_messages', 'hourly_counts', 'files_left_behind']);
  const statusOf = async (name: string) => (await get('jobs')).jobs.find((job: any) => job.name === name);
  for (const name of known) await until(async () => (await statusOf(name)).lastSuccessAt !== null);
  expect(await statusOf('retention')).toMatchObject({ scope: 'cluster', failures: 0, lastFailure: null });
  const jobs = async () => (await api.get('/health/ready')).body.checks.jobs;
  expect(await jobs()).toBe('ok');
  let isBroken = true;
  const work = () => (isBroken ? Promise.reject(new Error('"secret" is broken')) : Promise.resolve());
  const job = server.context.jobs.add({ name: 'broken', scope: 'node', run: work });
  job.start();
  job.wake();
  await until(async () => (await jobs()) === 'failed');
  const failed = await statusOf('broken');
  expect(failed).toMatchObject({ runs: 1, failures: 1, failuresInRow: 1, lastSuccessAt: null });
  expect(failed.lastFailure.message).toContain('Error: "…" is broken');
  expect((await api.get('/health/ready')).status).toBe(200);
  isBroken = false;
  await until(async () => (await jobs()) === 'ok');
  expect(await statusOf('broken')).toMatchObject({ runs: 2, failures: 1, failuresInRow: 0, nextRunAt: null });
});

it('other users see none of it', async () => {
  const { token } = await signUp(api);
  for (const path of ['connections', 'endpoints/slowest', 'errors', 'jobs']) {
    expect(await api.get(`/api/admin/${path}`, token)).toMatchObject(refused(403, 'forbidden'));
  }
});
