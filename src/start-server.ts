import cluster from 'node:cluster';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './app';
import { peerjsConfig, type PeerLimits } from './config/peerjs.config';
import type { Context } from './context';
import { metricsHandler } from './monitoring/metrics-handler';
import { MetricsServer } from './monitoring/metrics.server';
import { observeServer, readMetrics } from './monitoring/server-metrics';
import { METRICS } from './services/kernel/metrics';
import { createPeerServer } from './sockets/peer.server';
import { Lifecycle, METRICS_LISTENER, SHUTDOWN_TIMEOUT_MS } from './services/kernel/lifecycle';
import { createSessionRouter } from './sockets/session-router';
import { createSocketServer, SOCKET_IO_PATH } from './sockets/socket.server';
import { createUpgradeRouter, pathOf } from './sockets/upgrade.router';

/**
 * How long a connection may be idle: longer than the 60 s of load balancers and browsers. If the server closed it first,
 * a request that is on its way at that moment would be lost.
 */
const IDLE_CONNECTION_TIMEOUT_MS = 65_000;

export interface RunningServer {
  /** Its address: `http://127.0.0.1:3000`. */
  url: string;
  /** Where the metrics are, if they have a listener of their own. */
  metricsUrl: string | undefined;
  /** Stops accepting, closes the sockets and finishes the requests in flight. The context stays open. */
  close(): Promise<void>;
}

/**
 * Starts the context, and serves REST, Socket.IO and PeerJS on one listener. Every request and every upgrade goes to
 * exactly one of them, by its path. When this fails, everything that it started is stopped; the caller closes the
 * context.
 * @param peerLimits limits of one PeerJS client; `peerjsConfig` has the defaults.
 * @throws StartError
 */
export async function startServer(context: Context, peerLimits?: PeerLimits): Promise<RunningServer> {
  const { config, logger } = context;
  await context.start();
  const lifecycle = new Lifecycle(logger);
  const router = createSessionRouter(context);
  const sockets = createSocketServer(context, router?.key);
  const socketIo = router ?? sockets;
  const peers = config.peerjs.enabled ? createPeerServer(context, peerLimits) : undefined;
  const app = createApp(context, peers?.routes);
  const inFlight = new Set<ServerResponse>();
  observeServer(context);
  context.telemetry.gauge(METRICS.httpInFlight).observe({}, () => inFlight.size);
  const listener = createServer((request, response) => {
    inFlight.add(response);
    response.once('close', () => inFlight.delete(response));
    if (!context.accepting) endConnectionAfter(response);
    if (pathOf(request)?.startsWith(SOCKET_IO_PATH)) socketIo.handleRequest(request, response);
    else app(request, response);
  });
  listener.keepAliveTimeout = IDLE_CONNECTION_TIMEOUT_MS;
  listener.on(
    'upgrade',
    createUpgradeRouter(
      {
        [SOCKET_IO_PATH]: socketIo.handleUpgrade,
        ...(peers && { [peerjsConfig.webSocketPath]: peers.handleUpgrade }),
      },
      logger,
    ),
  );
  let closed = Promise.resolve();
  const { listener: metricsAddress, token } = config.metrics;
  const metrics =
    metricsAddress &&
    new MetricsServer(
      metricsAddress,
      metricsHandler(() => readMetrics(context), token, logger),
      cluster.isWorker,
    );
  // It stops last, so that the shutdown can be watched.
  if (metrics) lifecycle.register(METRICS_LISTENER, metrics);
  // They stop in reverse order: first the listener, then the sockets, then the requests in flight.
  lifecycle.register('requests in flight', { stop: () => finishRequests(listener, closed) });
  if (peers) lifecycle.register('PeerJS', { stop: () => peers.close() });
  // It stops after Socket.IO, whose clients may be connected through other processes.
  if (router)
    lifecycle.register('session router', { start: () => router.start(sockets), stop: () => router.stop() });
  lifecycle.register('Socket.IO', { stop: () => sockets.close() });
  if (router) lifecycle.register('forwarding of sessions', { stop: () => router.stopForwarding() });
  lifecycle.register('listener', {
    start: async () => {
      await listen(listener, config.http.port, config.http.host);
      // Such as EMFILE: a connection that cannot be accepted must not affect the others.
      listener.on('error', (error) => logger.error({ err: error }, 'a connection could not be accepted'));
    },
    stop: () => {
      context.accepting = false;
      closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      listener.closeIdleConnections();
      // Otherwise a client that keeps its connection open would delay the shutdown until the time-out.
      for (const response of inFlight) endConnectionAfter(response);
    },
  });
  await lifecycle.start();
  return {
    url: urlOf(listener.address() as AddressInfo),
    metricsUrl: metrics?.url,
    close: () => lifecycle.stop(),
  };
}

/** Resolves when all connections are closed; closes those that take too long. */
async function finishRequests(listener: Server, closed: Promise<void>): Promise<void> {
  const force = setTimeout(() => listener.closeAllConnections(), SHUTDOWN_TIMEOUT_MS);
  await closed.finally(() => clearTimeout(force));
}

/** Closes the connection of a request after its answer, and tells the client so. */
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
