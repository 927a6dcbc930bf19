import type { RequestHandler } from 'express';
import { createServer } from 'node:http';
import { ExpressPeerServer } from 'peer';
import { WebSocketServer } from 'ws';
import { peerjsConfig } from '../config/peerjs.config';
import type { Logger } from '../utils/logger';
import type { UpgradeHandler } from './upgrade.router';

export interface PeerServer {
  /** To be mounted at peerjsConfig.mountPath; the WebSocket side works once it is. */
  app: RequestHandler;
  handleUpgrade: UpgradeHandler;
  /** Closes every peer's WebSocket. */
  close(): Promise<void>;
}

/** The embedded PeerJS server, which passes WebRTC offers, answers and candidates between browsers. */
export function createPeerServer(corsOrigins: string[], logger: Logger): PeerServer {
  const webSockets = new WebSocketServer({ noServer: true, maxPayload: peerjsConfig.maxPayload });
  const app = ExpressPeerServer(
    // PeerJS wants a listener to attach to; the upgrades come from the router instead, so this one stays idle.
    createServer(),
    {
      path: '/',
      key: peerjsConfig.key,
      concurrent_limit: peerjsConfig.concurrentLimit,
      alive_timeout: peerjsConfig.aliveTimeout,
      expire_timeout: peerjsConfig.expireTimeout,
      allow_discovery: false,
      corsOptions: { origin: corsOrigins },
      createWebSocketServer: () => webSockets,
    },
  );
  // Without a listener for it, a malformed message of one peer would end the process.
  app.on('error', (error) => logger.debug({ err: error }, 'a peer sent what PeerJS does not understand'));

  return {
    app: app,
    handleUpgrade: (request, socket, head) =>
      webSockets.handleUpgrade(request, socket, head, (peer) => webSockets.emit('connection', peer, request)),
    close: async () => {
      for (const peer of webSockets.clients) peer.terminate();
      await new Promise((resolve) => webSockets.close(resolve));
    },
  };
}
