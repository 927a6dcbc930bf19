/**
 * Runs Parley under PM2 with a process for each core, on one port. docs/pm2.md explains it.
 *
 *   cd /opt/parley && npm run build && pm2 start deploy/pm2/ecosystem.config.cjs
 *
 * All settings are those of Parley: in the environment, or in the file .env of the folder in which PM2 is called.
 * In addition, the environment may have:
 *   PM2_INSTANCES   the number of processes; by default one for each core
 *   PM2_STORE_PORT  the port of the embedded store, which is used if MONGODB_URI is not set; by default 27017
 */
const { existsSync } = require('node:fs');
const { join, resolve } = require('node:path');

const project = resolve(__dirname, '..', '..');
const configModule = join(project, 'dist', 'config', 'env.config.js');

/** The first port on which a process serves its metrics, if METRICS_PORT is not set. The next process uses the next port. */
const METRICS_PORT = 9464;

/** Longer than Parley takes to shut down, in milliseconds: it ends itself after 9.5 seconds. */
const KILL_TIMEOUT_MS = 12_000;
/** How long the store waits for the processes of Parley to end, and the time until PM2 kills it. */
const LINGER_SECONDS = 10;
const STORE_KILL_TIMEOUT_MS = 20_000;

/** Reads the settings as Parley does, so that a mistake is reported before anything is started. */
function readConfig() {
  if (!existsSync(configModule)) throw new Error('Parley is not built. Run "npm run build" first.');
  const { loadConfig } = require(configModule);
  // loadConfig changes it for a server; here it would apply to PM2 and all programs that PM2 starts.
  const umask = process.umask();
  try {
    return loadConfig();
  } finally {
    process.umask(umask);
  }
}

const { database, dataDir, metrics, redisUrl } = readConfig();
if (redisUrl === undefined)
  throw new Error('REDIS_URL must be set: the processes of Parley reach each other through Redis.');

const instances = process.env.PM2_INSTANCES ? Number(process.env.PM2_INSTANCES) : 'max';
const storePort = process.env.PM2_STORE_PORT || '27017';
const usesStore = database.uri === undefined;

/** Options of both apps. Parley reports to Prometheus, Sentry and OpenTelemetry itself, and has no child processes. */
const common = {
  cwd: process.cwd(),
  // After a failure: 0.2 seconds, then longer each time, up to 15 seconds, for as long as it takes.
  exp_backoff_restart_delay: 200,
  pmx: false,
  vizion: false,
  treekill: false,
  disable_source_map_support: true,
};

const parley = {
  ...common,
  name: 'parley',
  script: join(project, 'dist', 'server.js'),
  kill_timeout: KILL_TIMEOUT_MS,
  exec_mode: 'cluster',
  instances,
  // As in `npm start`.
  node_args: '--max-semi-space-size=32',
  // A process is started, and the one that it replaces is stopped, when it says that it is ready.
  wait_ready: true,
  // If it does not, the other one is stopped after this time. Migrations of a large database may take minutes.
  listen_timeout: 180_000,
  max_memory_restart: '1500M',
  env: {
    METRICS_PORT: metrics.listener?.port || METRICS_PORT,
    ...(usesStore && { MONGODB_URI: `mongodb://127.0.0.1:${storePort}/?directConnection=true` }),
  },
  increment_var: 'METRICS_PORT',
};

/** The embedded store as a process of its own. */
const store = {
  ...common,
  name: 'parley-store',
  script: join(project, 'dist', 'scripts', 'embedded-db.js'),
  // PM2 stops processes in any order; the store waits until those of Parley have written everything.
  args: ['--port', storePort, '--data', dataDir, '--linger', String(LINGER_SECONDS)],
  kill_timeout: STORE_KILL_TIMEOUT_MS,
  exec_mode: 'fork',
  instances: 1,
};

module.exports = { apps: usesStore ? [parley, store] : [parley] };
