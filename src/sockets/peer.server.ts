import type { RequestHandler } from 'express';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { LRUCache } from 'lru-cache';
import type { WebSocket } from 'ws';
import { peerjsConfig, type PeerLimits } from '../config/peerjs.config';
import type { Context } from '../context';
import { peerQuery } from '../models/calls/peer.model';
import type { DomainEvent } from '../services/kernel/domain-events';
import type { LiveConnection } from '../services/operations/live-connections';
import type { Authenticated } from '../services/identity/session.service';
import { THROTTLES } from '../models/operations/throttle.model';
import { AppError, toPublicError, type PublicError } from '../utils/errors';
import { inTime } from '../utils/in-time';
import { networkOf } from '../utils/network';
import { clientAddress, trustProxy } from '../utils/trust-proxy';
import { ConnectionLimit } from './connection-limit';
import { PeerConnection, type PeerEnd } from './peer-connection';
import { errorFrame } from './peer-frame';
import { FrameMeter } from './frame-meter';
import { createPeerLibrary } from './peer-library';
import { PeerLifetime } from './peer-lifetime';
import { PeerSignalling } from './peer-signalling';
import { addressOf, refuseUpgrade, type UpgradeHandler } from './upgrade.router';
import { BoundedWebSocketServer } from './web-socket-server';

/** Seconds after which a client may retry that was refused because of the connection limit. */
const RETRY_AFTER_SECONDS = 10;

/** The stored part of the User-Agent header, in characters. */
const MAX_USER_AGENT_LENGTH = 256;

/** Users whose sent frames are counted at a time. */
const MAX_METERED_USERS = 10_000;

/** The bytes that a frame of a refused client counts in addition to its content. */
const FRAME_OVERHEAD_BYTES = 256;

/** The frame that reports to a PeerJS client that its id is taken. */
const ID_TAKEN = JSON.stringify({ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } });

/** How long blocks are cached with several nodes. */
const BLOCK_CACHE_MAX_AGE_MS = 10_000;

/** How long a closing server waits until clients have confirmed that they are closed. */
const CLOSE_TIMEOUT_MS = 1000;

export interface PeerServer {
  /** The HTTP routes. WebSockets work only after these are mounted at `peerjsConfig.mountPath`. */
  app: RequestHandler;
  handleUpgrade: UpgradeHandler;
  /** Closes the WebSocket of every peer, and stops the library's timers. */
  close(): Promise<void>;
}

/** A peer whose access token is valid. */
interface AuthenticatedPeer extends Authenticated {
  peerId: string;
}

/**
 * Creates the embedded PeerJS server, which forwards WebRTC offers, answers and candidates between browsers. The `peer`
 * library registers the ids and forwards frames; everything between it and the network is in this folder.
 */
export function createPeerServer(context: Context, limits: PeerLimits = peerjsConfig): PeerServer {
  const { bus, config, logger, services } = context;
  const trust = trustProxy(config.http.trustProxy);
  const connectionLimit = new ConnectionLimit(config.peerjs.connections);
  const webSockets = new BoundedWebSocketServer({ noServer: true, maxPayload: limits.maxFrameBytes });
  const recheck = config.redisUrl === undefined ? undefined : BLOCK_CACHE_MAX_AGE_MS;
  const signalling = new PeerSignalling(limits, services.blocks, bus, recheck);
  const connections = new Map<string, PeerConnection>();
  const onEnded = new WeakMap<PeerConnection, () => void>();
  const unsentTotal = { bytes: 0 };
  const meters = new LRUCache<string, FrameMeter>({ max: MAX_METERED_USERS });
  /** One set for each peer that is being admitted: the sessions that have ended meanwhile. */
  const pendingAdmissions = new Set<Set<string>>();
  let isClosing = false;

  const library = createPeerLibrary(limits.aliveTimeoutMs, config.http.corsOrigins, logger, failed);

  const pings = setInterval(() => {
    for (const connection of connections.values()) connection.ping();
  }, config.sockets.pingSeconds * 1000);
  pings.unref();

  const unsubscribe = bus.subscribe((event) => handleEvent(event));

  function handleEvent(event: DomainEvent): void {
    if (event.type === 'session.revoked') {
      for (const ended of pendingAdmissions) ended.add(event.sessionId.toHexString());
      for (const { id, sessionId } of services.peers.connectionsOf(event.userId)) {
        if (!sessionId.equals(event.sessionId)) continue;
        const error = {
          code: 'session_revoked',
          message: `The session has ended: ${event.reason}.`,
        } as const;
        connections.get(id)?.end('session_ended', errorFrame(error));
      }
    }
    if (event.type === 'maintenance.changed') {
      for (const connection of connections.values()) {
        const refusal = refusalDuringMaintenance(connection);
        if (refusal) connection.end('maintenance', errorFrame(refusal));
      }
    }
  }

  function refusalDuringMaintenance({ caller }: PeerConnection) {
    try {
      services.maintenance.admit(caller);
      return undefined;
    } catch (error) {
      return toPublicError(error);
    }
  }

  function failed(error: unknown): void {
    logger.error({ err: error }, 'call signalling failed');
    services.errors.record('call signalling', error, null);
  }

  function ended(connection: PeerConnection, reason: PeerEnd): void {
    signalling.unregister(connection);
    connections.delete(connection.connectionId);
    onEnded.get(connection)?.();
    if (reason !== 'too_slow' && reason !== 'too_many_packets') return;
    services.peers.recordEnd(reason);
    logger.warn({ reason, address: connection.caller.address }, 'a peer was disconnected');
  }

  /** Authenticates a peer. @throws AppError unauthenticated, validation_failed, token_invalid, maintenance, … */
  async function admit(request: IncomingMessage, address: string): Promise<AuthenticatedPeer> {
    const searchParams = addressOf(request)?.searchParams ?? new URLSearchParams();
    if (!searchParams.get('token'))
      throw new AppError('unauthenticated', 'An access token is required: new Peer(id, {token}).');
    const query = peerQuery.safeParse(Object.fromEntries(searchParams));
    if (!query.success) {
      const issue = query.error.issues[0];
      throw new AppError('validation_failed', `${issue?.path.join('.')}: ${issue?.message}.`);
    }
    const authenticated = await services.sessions.authenticate(query.data.token, address);
    services.maintenance.admit(authenticated.caller);
    return { ...authenticated, peerId: query.data.id };
  }

  async function open(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const address = clientAddress(request, trust);
    const slot = isClosing ? 'full' : connectionLimit.acquire(networkOf(address));
    if (typeof slot === 'string')
      return refuseUpgrade(socket, slot === 'full' ? 503 : 429, RETRY_AFTER_SECONDS);
    socket.once('close', slot);
    if (socket.destroyed) return;
    try {
      await services.throttle.countCall(THROTTLES.connect, address);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return refuseUpgrade(socket, 429, error.retryAfter);
    }
    const endedMeanwhile = new Set<string>();
    pendingAdmissions.add(endedMeanwhile);
    const admission = await admit(request, address)
      .catch((error: unknown) => {
        if (!(error instanceof AppError)) failed(error);
        return toPublicError(error);
      })
      .finally(() => pendingAdmissions.delete(endedMeanwhile));
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if ('code' in admission) return reject(webSocket, admission);
      try {
        if (endedMeanwhile.has(admission.caller.sessionId.toHexString())) {
          throw new AppError('session_revoked', 'The session has ended.');
        }
        accept(webSocket, admission, request.headers['user-agent'] ?? '', socket);
      } catch (error) {
        if (!(error instanceof AppError)) failed(error);
        reject(webSocket, toPublicError(error));
      }
    });
  }

  /**
   * Opens the connection of an authenticated peer. It replaces an earlier connection of the same session with this id.
   * @throws AppError unavailable, rate_limited, too_many_connections
   */
  function accept(
    webSocket: WebSocket,
    { peerId, caller, tokenExpiresAt }: AuthenticatedPeer,
    userAgent: string,
    socket: Duplex,
  ): void {
    if (isClosing) throw new AppError('unavailable', 'The server is closing. Connect again.');
    const userMeter = meters.get(caller.userId.toHexString()) ?? new FrameMeter(limits.userRate);
    meters.set(caller.userId.toHexString(), userMeter);
    if (userMeter.waitMs > 0) {
      throw new AppError('rate_limited', 'Too many frames.', undefined, userMeter.waitMs / 1000);
    }
    const previous = signalling.connectionOf(peerId);
    if (previous?.caller.sessionId.equals(caller.sessionId)) {
      // ID-TAKEN keeps it from reconnecting: two tabs with one id would take it from each other for ever.
      previous.end('taken_over', ID_TAKEN);
    }
    services.peers.reserve(caller.userId)();
    const connectionId = randomUUID();
    const connection = new PeerConnection(
      webSocket,
      connectionId,
      peerId,
      caller,
      limits,
      userMeter,
      unsentTotal,
      {
        forward: (sender, frame) => signalling.forward(sender, frame),
        ended,
        failed,
      },
    );
    const { userId, sessionId, address } = caller;
    const live: LiveConnection = {
      id: connectionId,
      userId,
      sessionId,
      address,
      userAgent: userAgent.slice(0, MAX_USER_AGENT_LENGTH),
      since: new Date(),
    };
    connections.set(connectionId, connection);
    services.peers.opened(live);
    const lifetime = new PeerLifetime(services.sessions, caller, tokenExpiresAt, () =>
      connection.end(
        'token_expired',
        errorFrame({ code: 'token_expired', message: 'The access token has expired.' }),
      ),
    );
    onEnded.set(connection, () => {
      services.peers.closed(live);
      lifetime.stop();
    });
    socket.on('data', (chunk: Buffer) => connection.recordIncoming(chunk.length, 0));
    library.connect(connection.librarySocket, peerId, sessionId.toHexString());
    // If it has ended, the library has refused it, because the id is taken.
    if (!connection.isEnded) signalling.register(connection);
  }

  /** Reports to a client why it is refused, and closes its connection. */
  function reject(webSocket: WebSocket, refusal: PublicError): void {
    webSocket.on('error', () => webSocket.terminate());
    // A client may send its first frames before it reads the error. One that sends more is terminated.
    let bytes = 0;
    webSocket.on('message', (data: Buffer) => {
      bytes += data.length + FRAME_OVERHEAD_BYTES;
      if (bytes > limits.maxFrameBytes) webSocket.terminate();
    });
    webSocket.send(errorFrame(refusal));
    webSocket.close(1008, refusal.code);
  }

  return {
    app: library.app,
    handleUpgrade: (request, socket, head) => {
      open(request, socket, head).catch((error: unknown) => {
        failed(error);
        socket.destroy();
      });
    },
    close: async () => {
      isClosing = true;
      clearInterval(pings);
      unsubscribe();
      for (const connection of connections.values()) connection.end('server_closing');
      const closed = [...webSockets.clients].map(
        (each) => new Promise((resolve) => each.once('close', resolve)),
      );
      await inTime(Promise.all(closed), CLOSE_TIMEOUT_MS);
      for (const each of webSockets.clients) each.terminate();
      await new Promise((resolve) => webSockets.close(resolve));
      signalling.close();
      library.stop();
    },
  };
}
