import cluster from 'node:cluster';
import { ConfigError, loadConfig, type Config } from './config/env.config';
import type * as ContextModule from './context';
import type { Context } from './context';
import { METRICS_LISTENER, StartError } from './services/kernel/lifecycle';
import type * as StartServerModule from './start-server';
import type { RunningServer } from './start-server';
import { VERSION } from './utils/version';

/** Logged at the start of a site that has uploads in the data folder, where versions before UPLOAD_DIR kept them. */
const FORMER_UPLOADS =
  'uploads stay in the data folder, because there are files; move the folder to ./uploads or set UPLOAD_DIR';

/** When a shutdown must have ended, after which the process ends in any case. */
const SHUTDOWN_TIMEOUT_MS = 9000;
/** How long before that the last part should have stopped. */
const EXIT_MARGIN_MS = 250;

function announce(config: Config, context: Context, server: RunningServer): void {
  const url =
    config.http.publicUrl ?? server.url.replace('127.0.0.1', 'localhost').replace('0.0.0.0', 'localhost');
  const facts = {
    url,
    apiDocs: `${url}/api-docs`,
    data: context.database.location,
    uploads: config.uploadDir,
    ...(server.metricsUrl !== undefined && { metrics: server.metricsUrl }),
  };
  if (config.uploadDirIsFormer) context.logger.info({ uploads: config.uploadDir }, FORMER_UPLOADS);
  if (config.environment === 'production') {
    context.logger.info({ ...facts, version: VERSION }, 'listening');
    return;
  }
  process.stdout.write(
    [
      `Parley ${VERSION} is running.`,
      `  URL            ${facts.url}`,
      `  API docs       ${facts.apiDocs}`,
      `  Data           ${facts.data}`,
      `  Uploads        ${facts.uploads}`,
      `  First account  The first one to register (POST ${url}/api/auth/register) becomes super admin.`,
      '',
    ].join('\n'),
  );
}

/** Returns one sentence for a failed start: names the setting that the operator can correct, where there is one. */
function explain(error: unknown, config: Config | undefined, isDatabaseOpen: boolean): string {
  if (error instanceof ConfigError) return error.message;
  const { message } = error as Error;
  // Its message says what to do.
  if ((error as Error).name === 'DatabaseTooNewError') return message;
  // The driver's message does not name the setting.
  if (!isDatabaseOpen && config?.database.uri !== undefined) return `MONGODB_URI cannot be used: ${message}`;
  if (!(error instanceof StartError)) return message;
  const listeners: Record<string, { prefix: string; address: { port: number; host: string } | undefined }> = {
    listener: { prefix: '', address: config?.http },
    [METRICS_LISTENER]: { prefix: 'METRICS_', address: config?.metrics.listener },
  };
  const { prefix = '', address } = listeners[error.part] ?? {};
  return (address && explainListening(error.cause, prefix, address)) ?? message;
}

/** Says why a listener cannot be opened. @param prefix of the names of its settings. */
function explainListening(
  error: unknown,
  prefix: string,
  { port, host }: { port: number; host: string },
): string | undefined {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `${prefix}PORT ${port} is taken by another program. Set another ${prefix}PORT.`;
    case 'EACCES':
      return `${prefix}PORT ${port} may not be used by this user. Set another ${prefix}PORT.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${prefix}HOST ${host} is not an address of this machine.`;
    default:
      return undefined;
  }
}

/** The parts of this process that are open. */
interface Running {
  /** The start of the embedded store, which must not be interrupted; undefined on MongoDB. */
  opening?: Promise<Context>;
  context?: Context;
  server?: RunningServer;
}

/** Loads the application: only with a valid configuration, because this takes most of the time of a start. */
function loadApplication() {
  /* eslint-disable @typescript-eslint/no-require-imports -- `import` would need names of files that only the build has. */
  const { createContext } = require('./context') as typeof ContextModule;
  const { startServer } = require('./start-server') as typeof StartServerModule;
  /* eslint-enable @typescript-eslint/no-require-imports */
  return { createContext, startServer };
}

async function main(): Promise<void> {
  let config: Config | undefined;
  const running: Running = {};
  const shutdown = shutDownOnSignal(running);
  try {
    config = loadConfig();
    if (cluster.isWorker) requireSharedState(config);
    const { createContext, startServer } = loadApplication();
    const opening = createContext(config);
    if (config.database.uri === undefined) running.opening = opening;
    const context = await opening;
    running.context = context;
    shutDownOnFailure(context, shutdown);
    const server = await startServer(context);
    running.server = server;
    if (shutdown.begun) return;
    announce(config, context, server);
    // PM2 waits for this message before it stops the process that this one replaces.
    if (process.connected) process.send?.('ready');
  } catch (error) {
    // A signal during the start stops it halfway: that is no failure.
    if (shutdown.begun) return;
    const { context } = running;
    exitLate(context, 1);
    await context?.close().catch(() => undefined);
    const reason = explain(error, config, context !== undefined).replace(/\s*\n\s*/g, ' ');
    // PM2 writes asynchronously.
    process.stderr.write(`Parley cannot start: ${reason}\n`, 'utf8', () => process.exit(1));
  }
}

/**
 * Refuses a configuration with which several processes on one port would not act as one.
 * @throws ConfigError
 */
function requireSharedState({ database, redisUrl }: Config): void {
  if (database.uri === undefined) {
    throw new ConfigError(
      'MONGODB_URI must be set in a cluster: its processes share one database, and only one process can open the embedded store. "npm run db" serves that store to several processes.',
    );
  }
  if (redisUrl === undefined)
    throw new ConfigError(
      'REDIS_URL must be set in a cluster: its processes reach each other through Redis.',
    );
}

/**
 * Ends the process in any case, should closing take too long. With the embedded store not by `process.exit`, which waits
 * for its thread: what is acknowledged is on disk.
 */
function exitLate(context: Context | undefined, exitCode: number): void {
  const end = () => {
    context?.logger.warn('the shutdown took too long and was not completed');
    if (context && !context.database.isEmbedded) process.exit(exitCode);
    process.kill(process.pid, 'SIGKILL');
  };
  setTimeout(end, SHUTDOWN_TIMEOUT_MS).unref();
}

/**
 * Closes what is open, in order. An exit while the embedded store writes would never end: the clean-up of LMDB waits for
 * a lock that its own thread holds. So the store is opened first, and then closed.
 */
async function closeAll(running: Running, exitCode: number): Promise<void> {
  await running.server?.leave();
  const end = performance.now() + SHUTDOWN_TIMEOUT_MS;
  exitLate(running.context, exitCode);
  try {
    await running.server?.close();
  } finally {
    const context = running.context ?? (await running.opening?.catch(() => undefined));
    await context?.close(end - performance.now() - EXIT_MARGIN_MS);
  }
}

/** Ends the process when its last log lines are written. PM2 writes them asynchronously. */
function exit(code: number): void {
  if (cluster.isWorker) process.stdout.write('', 'utf8', () => process.exit(code));
  else process.exit(code);
}

interface Shutdown {
  readonly begun: boolean;
  /** Closes what is open and exits the process. Further calls only end the delay before it. */
  begin(reason: string, exitCode: number): void;
}

/** Shuts the process down on SIGTERM and SIGINT, also while it is still starting. */
function shutDownOnSignal(running: Running): Shutdown {
  let begun = false;
  const shutdown: Shutdown = {
    get begun() {
      return begun;
    },
    begin: (reason, exitCode) => {
      if (begun) {
        running.server?.endDelay();
        return;
      }
      begun = true;
      running.context?.logger.info({ reason }, 'shutting down');
      closeAll(running, exitCode).then(
        () => exit(exitCode),
        // The log has the failures, by part.
        () => exit(1),
      );
    },
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => shutdown.begin(signal, 0));
  return shutdown;
}

/**
 * The last resort for errors of libraries outside of any call of Parley. An unhandled rejection leaves nothing half done
 * that other work depends on; after an uncaught exception the state is unknown, so the process ends.
 */
function shutDownOnFailure({ logger, services, database, nodes }: Context, shutdown: Shutdown): void {
  process.on('unhandledRejection', (error) => {
    logger.error({ err: error }, 'unhandled rejection');
    services.errors.record('unhandled', error, null);
  });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'uncaught exception');
    shutdown.begin('uncaught exception', 1);
  });
  database.onLost((error) => {
    logger.fatal({ err: error }, 'the embedded store has stopped unexpectedly');
    shutdown.begin('store lost', 1);
  });
  nodes.onOutdated((error) => {
    logger.fatal({ err: error }, 'the database was migrated by a newer version');
    shutdown.begin('outdated', 1);
  });
}

void main();
