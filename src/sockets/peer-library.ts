import type { RequestHandler } from 'express';
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { ExpressPeerServer } from 'peer';
import type { WebSocket, WebSocketServer } from 'ws';
import { peerjsConfig } from '../config/peerjs.config';
import type { Logger } from '../utils/logger';
import { LibraryTimers } from './library-timers';

/** The HTTP paths of the library that are served, below the mount path. */
const HTTP_PATHS = ['/', `/${peerjsConfig.key}/peers`];

/** The `peer` library, isolated from the network: it receives connections only through `connect`. */
export interface PeerLibrary {
  /** Its HTTP routes. The library works only after they are mounted at `peerjsConfig.mountPath`. */
  app: RequestHandler;
  /**
   * Registers a peer. The library sends it OPEN, or sends ID-TAKEN and closes it.
   * @param owner identifies the call and the session. The library refuses another owner while the id is registered.
   */
  connect(socket: WebSocket, peerId: string, owner: string): void;
  /** Stops its timers. */
  stop(): void;
}

/**
 * @param aliveTimeoutMs milliseconds without a heartbeat after which a peer is dropped.
 * @param onError receives the errors that the library reports.
 */
export function createPeerLibrary(
  aliveTimeoutMs: number,
  corsOrigins: string[],
  logger: Logger,
  onError: (error: unknown) => void,
): PeerLibrary {
  const timers = new LibraryTimers(logger);
  /** The library uses this as its WebSocket server. */
  const webSockets = new EventEmitter();
  const app = ExpressPeerServer(
    // PeerJS requires an HTTP server. Upgrades come from our router instead, so this one stays unused.
    createServer(),
    {
      path: '/',
      key: peerjsConfig.key,
      // Connections are limited before they reach the library.
      concurrent_limit: Infinity,
      alive_timeout: aliveTimeoutMs,
      allow_discovery: false,
      corsOptions: { origin: corsOrigins },
      createWebSocketServer: () => webSockets as unknown as WebSocketServer,
    },
  );
  app.disable('x-powered-by');
  app.use((request, _response, next) => (HTTP_PATHS.includes(request.path) ? next() : next('router')));
  app.on('error', onError);
  // The library initialises itself, and starts its timers, when it is mounted.
  const setUp = app.listeners('mount') as ((parent: unknown) => void)[];
  app.removeAllListeners('mount');
  app.on('mount', (parent) => timers.run(() => setUp.forEach((listener) => listener.call(app, parent))));

  return {
    app,
    connect: (socket, peerId, owner) => {
      const query = new URLSearchParams({ id: peerId, token: owner, key: peerjsConfig.key });
      webSockets.emit('connection', socket, { url: `/?${query.toString()}` });
    },
    stop: () => timers.stop(),
  };
}
