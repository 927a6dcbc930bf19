import { startEmbeddedStore } from '@parley/embedded-store';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../../config/env.config';
import { createContext } from '../../../context';
import { startServer } from '../../../start-server';
import { createApi } from '../../fixtures/api';
import { startTestServer, type TestServer } from '../../fixtures/server';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const READY = { status: 'ok', checks: { database: 'ok', accepting: 'ok', jobs: 'ok' } };

it('reports that the process is alive and ready for requests', async () => {
  expect(await server.api.get('/health/live')).toMatchObject({ status: 200, body: { status: 'ok' } });
  const ready = await server.api.get('/health/ready');
  expect([ready.status, ready.body]).toEqual([200, READY]);
});

it('is not ready, but alive, once the server is stopping', async () => {
  server.context.accepting = false;
  const ready = await server.api.get('/health/ready');
  expect([ready.status, ready.body]).toEqual([
    503,
    { status: 'failed', checks: { database: 'ok', accepting: 'failed', jobs: 'ok' } },
  ]);
  expect((await server.api.get('/health/live')).status).toBe(200);
  server.context.accepting = true;
});

it('is not ready, but alive, when the database is disconnected', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-health-'));
  const store = await startEmbeddedStore({ dataDir, port: 0 });
  const config = loadConfig(
    {
      NODE_ENV: 'test',
      PORT: '0',
      DATA_DIR: dataDir,
      MONGODB_URI: store.uri,
      LOG_LEVEL: 'silent',
      PEERJS_ENABLED: 'false',
    },
    dataDir,
  );
  const context = await createContext(config);
  const alone = await startServer(context);
  const api = await createApi(alone.url);
  expect((await api.get('/health/ready')).body).toEqual(READY);
  await store.close();
  const ready = await api.get('/health/ready');
  expect([ready.status, ready.body]).toEqual([
    503,
    { status: 'failed', checks: { database: 'failed', accepting: 'ok', jobs: expect.any(String) } },
  ]);
  expect((await api.get('/health/live')).status).toBe(200);
  await alone.close();
  await context.close();
  await rm(dataDir, { recursive: true, force: true });
});
