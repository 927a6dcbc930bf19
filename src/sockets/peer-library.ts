import type { RequestHandler } from 'express';
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { ExpressPeerServer } from 'peer';
import type { WebSocket, WebSocketServer } from 'ws';
import { peerjsConfig } from '../config/peerjs.config';
import type { Logger } from '../utils/logger';
import { LibraryTimers } from './library-timers';

/** The parts of the library's HTTP side that clients use, below the mount path. */
const HTTP_PATHS = ['/', `/${peerjsConfig.key}/id`, `/${peerjsConfig.key}/peers`];

/** The `peer` library, kept apart from the network: it gets connections from `connect` alone. */
export interface PeerLibrary {
  /** Its HTTP side, to be mounted at peerjsConfig.mountPath; the rest of it works once it is. */
  app: RequestHandler;
  /**
   * Registers a peer. The library answers it with OPEN, or with ID-TAKEN and closes it.
   * @param owner who may register the id again while it is held: the library compares it with that of the holder.
   */
  connect(socket: WebSocket, peerId: string, owner: string): void;
  /** Ends its timers. */
  stop(): void;
}

/**
 * @param aliveTimeout milliseconds without a heartbeat after which a peer is dropped.
 * @param onError takes what the library reports.
 */
export function createPeerLibrary(
  aliveTimeout: number,
  corsOrigins: string[],
  logger: Logger,
  onError: (error: unknown) => void,
): PeerLibrary {
  const timers = new LibraryTimers(logger);
  /** What the library takes for its WebSocket server. */
  const webSockets = new EventEmitter();
  const app = ExpressPeerServer(
    // PeerJS wants a listener to attach to; the upgrades come from the router instead, so this one stays idle.
    createServer(),
    {
      path: '/',
      key: peerjsConfig.key,
      // Connections are counted before the library sees them.
      concurrent_limit: Infinity,
      alive_timeout: aliveTimeout,
      allow_discovery: false,
      corsOptions: { origin: corsOrigins },
      createWebSocketServer: () => webSockets as unknown as WebSocketServer,
    },
  );
  app.disable('x-powered-by');
  app.use((request, _response, next) => (HTTP_PATHS.includes(request.path) ? next() : next('router')));
  app.on('error', onError);
  // The library sets itself up, and starts its timers, when it is mounted.
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
