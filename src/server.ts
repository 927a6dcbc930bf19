import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app';
import { ConfigError, loadConfig, type Config } from './config/env.config';
import { peerjsConfig, type PeerLimits } from './config/peerjs.config';
import { createContext, type Context } from './context';
import { createPeerServer } from './sockets/peer.server';
import { Lifecycle, StartError } from './services/kernel/lifecycle';
import { createSocketServer, SOCKET_IO_PATH } from './sockets/socket.server';
import { createUpgradeRouter, pathOf } from './sockets/upgrade.router';
import { VERSION } from './utils/version';

/** How long requests in flight may take to end before the process exits all the same, in milliseconds. */
const SHUTDOWN_TIMEOUT = 8000;
/**
 * How long a connection may idle, in milliseconds: longer than the 60 s of load balancers and browsers. If the
 * server closed first, a request that is on its way at that moment would be lost.
 */
const IDLE_CONNECTION_TIMEOUT = 65_000;

export interface RunningServer {
  /** Where it listens: `http://127.0.0.1:3000`. */
  url: string;
  /** Stops intake, finishes what is in flight, closes sockets. The context stays open. */
  close(): Promise<void>;
}

/**
 * Starts the context, and puts REST, Socket.IO and PeerJS on one listener. Every request and every upgrade goes to
 * exactly one of them, by its path. When this fails, nothing of it goes on; the context is still to be closed.
 * @param peerLimits what one PeerJS client may ask for; peerjsConfig has the defaults.
 * @throws StartError
 */
export async function startServer(context: Context, peerLimits?: PeerLimits): Promise<RunningServer> {
  const { config, logger } = context;
  await context.start();
  const lifecycle = new Lifecycle(logger);
  const sockets = createSocketServer(context);
  const peers = config.peerjs.enabled ? createPeerServer(context, peerLimits) : undefined;
  const app = createApp(context, peers && { [peerjsConfig.mountPath]: peers.app });
  const inFlight = new Set<ServerResponse>();
  const listener = createServer((request, response) => {
    inFlight.add(response);
    response.once('close', () => inFlight.delete(response));
    if (!context.accepting) endConnectionAfter(response);
    if (pathOf(request)?.startsWith(SOCKET_IO_PATH)) sockets.handleRequest(request, response);
    else app(request, response);
  });
  listener.keepAliveTimeout = IDLE_CONNECTION_TIMEOUT;
  listener.on(
    'upgrade',
    createUpgradeRouter(
      {
        [SOCKET_IO_PATH]: sockets.handleUpgrade,
        ...(peers && { [peerjsConfig.webSocketPath]: peers.handleUpgrade }),
      },
      logger,
    ),
  );
  let closed = Promise.resolve();
  // The end goes the other way round: no new requests, no sockets any more, and then the last answers.
  lifecycle.register('requests in flight', { stop: () => endedInTime(listener, closed) });
  if (peers) lifecycle.register('PeerJS', { stop: () => peers.close() });
  lifecycle.register('Socket.IO', { stop: () => sockets.close() });
  lifecycle.register('listener', {
    start: async () => {
      await listen(listener, config.http.port, config.http.host);
      // Such as EMFILE: a connection that cannot be accepted must not end the others.
      listener.on('error', (error) => logger.error({ err: error }, 'a connection could not be accepted'));
    },
    stop: () => {
      context.accepting = false;
      closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      listener.closeIdleConnections();
      // Otherwise a client that keeps its connection open would hold the end up until that times out.
      for (const response of inFlight) endConnectionAfter(response);
    },
  });
  await lifecycle.start();
  return { url: urlOf(listener.address() as AddressInfo), close: () => lifecycle.stop() };
}

/** Resolves when all connections have ended; those that take too long are broken off. */
async function endedInTime(listener: Server, closed: Promise<void>): Promise<void> {
  const force = setTimeout(() => listener.closeAllConnections(), SHUTDOWN_TIMEOUT);
  await closed.finally(() => clearTimeout(force));
}

/** Tells the client to come again on another connection, and closes this one after the answer. */
function endConnectionAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

function listen(listener: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(port, host, () => {
      listener.off('error', reject);
      resolve();
    });
  });
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

function announce(config: Config, context: Context, server: RunningServer): void {
  const url =
    config.http.publicUrl ?? server.url.replace('127.0.0.1', 'localhost').replace('0.0.0.0', 'localhost');
  const facts = {
    url,
    apiDocs: `${url}/api-docs`,
    data: context.database.location,
  };
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
      `  First account  The first one to register (POST ${url}/api/auth/register) becomes super admin.`,
      '',
    ].join('\n'),
  );
}

/** What a failed start says: one line for what the operator can mend, the whole error for the rest. */
function explain(error: unknown, config: Config | undefined, isDatabaseOpen: boolean): string {
  if (error instanceof ConfigError) return error.message;
  const { message } = error as Error;
  // What the driver says does not name the setting.
  if (!isDatabaseOpen && config?.database.uri !== undefined) return `MONGODB_URI cannot be used: ${message}`;
  if (!(error instanceof StartError) || error.part !== 'listener') return message;
  switch ((error.cause as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `PORT ${config?.http.port} is taken by another program. Set another PORT.`;
    case 'EACCES':
      return `PORT ${config?.http.port} may not be used by this user. Set another PORT.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST ${config?.http.host} is not an address of this machine.`;
    default:
      return message;
  }
}

async function main(): Promise<void> {
  let config: Config | undefined;
  let context: Context | undefined;
  try {
    config = loadConfig();
    context = await createContext(config);
    const server = await startServer(context);
    endOnSignal(context, server);
    announce(config, context, server);
  } catch (error) {
    exitLate();
    await context?.close().catch(() => undefined);
    const reason = explain(error, config, context !== undefined).replace(/\s*\n\s*/g, ' ');
    process.stderr.write(`Parley cannot start: ${reason}\n`);
    process.exit(1);
  }
}

/** Ends the process in any case, should closing take longer than it may. */
function exitLate(): void {
  setTimeout(() => process.exit(1), SHUTDOWN_TIMEOUT + 1500).unref();
}

function endOnSignal(context: Context, server: RunningServer): void {
  const { logger } = context;
  let ending = false;
  const end = (reason: string, exitCode: number) => {
    if (ending) return;
    ending = true;
    logger.info({ reason }, 'shutting down');
    exitLate();
    server
      .close()
      .finally(() => context.close())
      .then(
        () => process.exit(exitCode),
        // What has failed is in the log, by part.
        () => process.exit(1),
      );
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(signal, 0));
  // The last resort for what a library does outside of any call of ours. A promise that nobody waits for leaves nothing
  // half done that others depend on; after an exception anything may be.
  process.on('unhandledRejection', (error) => {
    logger.error({ err: error }, 'a failure that nobody handled');
    context.services.errors.note('unhandled', error, null);
  });
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'an exception that nobody caught');
    end('uncaught exception', 1);
  });
  context.database.onLost((error) => {
    logger.fatal({ err: error }, 'the embedded store has ended');
    end('store lost', 1);
  });
}

if (require.main === module) void main();
