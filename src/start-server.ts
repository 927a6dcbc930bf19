import cluster from 'node:cluster';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from './app';
import { peerjsConfig, type PeerLimits } from './config/peerjs.config';
import type { Context } from './context';
import { metricsHandler } from './monitoring/metrics-handler';
import { MetricsServer } from './monitoring/metrics.server';
import { observeServer, readMetrics } from './monitoring/server-metrics';
import { METRICS } from './services/kernel/metrics';
import { HttpListener } from './sockets/http-listener';
import { createPeerServer } from './sockets/peer.server';
import { Lifecycle, METRICS_LISTENER } from './services/kernel/lifecycle';
import { createSessionRouter } from './sockets/session-router';
import { createSocketServer, SOCKET_IO_PATH } from './sockets/socket.server';
import { createUpgradeRouter, pathOf } from './sockets/upgrade.router';

/** How long a shutdown waits for requests in flight before it closes their connections. */
const REQUESTS_TIMEOUT_MS = 6500;

export interface RunningServer {
  /** Its address: `http://127.0.0.1:3000`. */
  url: string;
  /** Where the metrics are, if they have a listener of their own. */
  metricsUrl: string | undefined;
  /** Reports that it is not ready, and serves for SHUTDOWN_DELAY_SECONDS, in which load balancers notice that. */
  leave(): Promise<void>;
  /** Ends the delay of `leave`. */
  endDelay(): void;
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
  observeServer(context);
  context.telemetry.gauge(METRICS.httpInFlight).observe({}, () => http.inFlight);
  const isSocketIo = (request: IncomingMessage) => pathOf(request)?.startsWith(SOCKET_IO_PATH) ?? false;
  const http = new HttpListener({
    handle: (request, response) => {
      if (isSocketIo(request)) socketIo.handleRequest(request, response);
      else app(request, response);
    },
    isLongPoll: isSocketIo,
  });
  http.server.on(
    'upgrade',
    createUpgradeRouter(
      {
        [SOCKET_IO_PATH]: socketIo.handleUpgrade,
        ...(peers && { [peerjsConfig.webSocketPath]: peers.handleUpgrade }),
      },
      logger,
    ),
  );
  let closingSince = 0;
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
  lifecycle.register('requests in flight', {
    stop: () => http.finish(closingSince + REQUESTS_TIMEOUT_MS - performance.now()),
  });
  if (peers) lifecycle.register('PeerJS', { stop: () => peers.close() });
  // It stops after Socket.IO, whose clients may be connected through other processes.
  if (router)
    lifecycle.register('session router', { start: () => router.start(sockets), stop: () => router.stop() });
  lifecycle.register('Socket.IO', { stop: () => sockets.close((timeoutMs) => http.idle(timeoutMs)) });
  if (router) lifecycle.register('forwarding of sessions', { stop: () => router.stopForwarding() });
  lifecycle.register('listener', {
    start: async () => {
      await http.listen(config.http.port, config.http.host);
      // Such as EMFILE: a connection that cannot be accepted must not affect the others.
      http.server.on('error', (error) => logger.error({ err: error }, 'a connection could not be accepted'));
    },
    stop: async () => {
      closingSince = performance.now();
      context.accepting = false;
      // A client that uses long polling needs the listener to learn of it.
      await sockets.announceClosing();
      context.refusing = true;
      http.close();
    },
  });
  await lifecycle.start();
  const delay = new AbortController();
  return {
    url: urlOf(http.server.address() as AddressInfo),
    metricsUrl: metrics?.url,
    leave: async () => {
      context.accepting = false;
      http.leave();
      const milliseconds = config.http.shutdownDelaySeconds * 1000;
      if (milliseconds > 0) await sleep(milliseconds, undefined, delay).catch(() => undefined);
    },
    endDelay: () => delay.abort(),
    close: () => lifecycle.stop(),
  };
}

function urlOf({ address, family, port }: AddressInfo): string {
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
