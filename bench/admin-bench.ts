import { parseArgs } from 'node:util';
import { loadConfig } from '../src/config/env.config';
import { createContext } from '../src/context';
import { openDatabase } from '../src/db/mongodb';
import { startServer } from '../src/start-server';
import { fillDatabase } from './admin/fill';
import { inTemporaryFolder } from './chat/temporary-folder';
import { describeMachine } from '../tools/bench/machine';
import { milliseconds, addRow, printTable } from '../tools/bench/table';

/**
 * `npm run bench:admin [-- --messages N]`: measures the administration routes with a million messages. Parley runs on
 * the embedded store, and a client in the same process sends HTTP requests.
 */

const { values } = parseArgs({ options: { messages: { type: 'string', default: '1000000' } } });
const MESSAGES = Number(values.messages);
const RUNS = 15;

const CALLS: [string, string][] = [
  ['numbers, 24 hours', '/api/admin/stats'],
  ['numbers, 31 days by the hour', '/api/admin/stats?points=744'],
  ['numbers, a year by the day', '/api/admin/stats?step=day&points=366'],
  ['page of 50 users', '/api/admin/users'],
  ['page of 50 users by state', '/api/admin/users?state=suspended'],
  ['page of 50 users by the beginning of the name', '/api/admin/users?query=user12'],
  [
    'page of 50 users by the beginning of the display name',
    '/api/admin/users?query=person%201&field=displayName',
  ],
  ['page of 50 private groups', '/api/admin/groups?visibility=private'],
  ['page of 50 channels by the beginning of the name', '/api/admin/channels?query=channel1'],
  ['page of 50 reports of the whole server', '/api/reports?state=open'],
];

async function bench(dataDir: string): Promise<void> {
  const config = loadConfig(
    {
      NODE_ENV: 'test',
      PORT: '0',
      DATA_DIR: dataDir,
      BCRYPT_COST: '4',
      LOG_LEVEL: 'error',
      PEERJS_ENABLED: 'false',
    },
    dataDir,
  );
  const database = await openDatabase({ ...config.database, dataDir });
  const filled = await milliseconds(() => fillDatabase(database.db, MESSAGES));
  addRow(`insert of ${MESSAGES} messages`, `${(filled / 1000).toFixed(0)} s`);
  const context = await createContext(config, { database });
  const server = await startServer(context);
  const token = await register(server.url);
  const counting = await milliseconds(() => untilCounted(server.url, token));
  addRow('count of all hours that there were, in the background', `${(counting / 1000).toFixed(1)} s`);
  for (const [what, path] of CALLS) {
    const spent: number[] = [];
    for (let run = 0; run < RUNS; run++) spent.push(await milliseconds(() => ask(server.url + path, token)));
    spent.sort((one, other) => one - other);
    addRow(what, `${spent[RUNS >> 1]!.toFixed(1)} ms`, `slowest of ${RUNS}: ${spent.at(-1)!.toFixed(1)} ms`);
  }
  await server.close();
  await context.close();
  await database.close();
}

async function register(url: string): Promise<string> {
  const account = { username: 'administrator', email: 'a@example.org', password: 'correct horse battery' };
  const answer = await fetch(`${url}/api/auth/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(account),
  });
  return ((await answer.json()) as { accessToken: string }).accessToken;
}

async function ask(url: string, token: string): Promise<unknown> {
  const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

async function untilCounted(url: string, token: string): Promise<void> {
  for (;;) {
    const { statistics } = (await ask(`${url}/api/admin/stats`, token)) as {
      statistics: { at: string; series: { countedTo: string } };
    };
    if (Date.parse(statistics.at) - Date.parse(statistics.series.countedTo) < 1000) return;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

console.log(describeMachine());
inTemporaryFolder(bench)
  .then(printTable)
  .catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
