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
import { ConnectionPlaces } from './connection-places';
import { PeerConnection, type PeerEnd } from './peer-connection';
import { errorFrame } from './peer-frame';
import { FrameCount } from './frame-count';
import { createPeerLibrary } from './peer-library';
import { PeerLifetime } from './peer-lifetime';
import { PeerSignalling } from './peer-signalling';
import { addressOf, refuseUpgrade, type UpgradeHandler } from './upgrade.router';
import { BoundedWebSocketServer } from './web-socket-server';

/** Seconds after which a client may try again that found no place. */
const RETRY_FULL = 10;

/** How much of what a client says of itself is kept, in characters. */
const MAX_USER_AGENT = 256;

/** Users of whom it is kept how much they have sent. */
const COUNTED_USERS = 10_000;

/** What a frame of a refused client counts beside its content, in bytes. */
const FRAME_OVERHEAD = 256;

/** What the PeerJS client is told when somebody else has its id. */
const ID_TAKEN = JSON.stringify({ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } });

/** Where there are several nodes: milliseconds after which it is looked up again who has blocked whom. */
const BLOCK_MAX_AGE = 10_000;

/** How long clients may take to confirm that they are closed when the server ends, in milliseconds. */
const FAREWELL = 1000;

export interface PeerServer {
  /** To be mounted at peerjsConfig.mountPath; the WebSocket side works once it is. */
  app: RequestHandler;
  handleUpgrade: UpgradeHandler;
  /** Closes every peer's WebSocket, and ends the library's timers. */
  close(): Promise<void>;
}

/** A peer that has shown who it is. */
interface Admission extends Authenticated {
  peerId: string;
}

/**
 * The embedded PeerJS server, which passes WebRTC offers, answers and candidates between browsers. The `peer` library
 * keeps the ids and passes frames on; everything between it and the network is in this folder.
 */
export function createPeerServer(context: Context, limits: PeerLimits = peerjsConfig): PeerServer {
  const { bus, config, logger, services } = context;
  const trust = trustProxy(config.http.trustProxy);
  const places = new ConnectionPlaces(config.peerjs.connections);
  const webSockets = new BoundedWebSocketServer({ noServer: true, maxPayload: limits.maxFrameBytes });
  const recheck = config.redisUrl === undefined ? undefined : BLOCK_MAX_AGE;
  const signalling = new PeerSignalling(limits, services.blocks, bus, recheck);
  const connections = new Map<string, PeerConnection>();
  const leave = new WeakMap<PeerConnection, () => void>();
  const total = { bytes: 0 };
  const counts = new LRUCache<string, FrameCount>({ max: COUNTED_USERS });
  /** The sessions that ended while somebody was on the way in: one list for each. */
  const arriving = new Set<Set<string>>();
  let isClosing = false;

  const library = createPeerLibrary(limits.aliveTimeout, config.http.corsOrigins, logger, failed);

  const pings = setInterval(() => {
    for (const connection of connections.values()) connection.ping();
  }, config.sockets.pingSeconds * 1000);
  pings.unref();

  const unsubscribe = bus.subscribe((event) => handleEvent(event));

  function handleEvent(event: DomainEvent): void {
    if (event.type === 'session.revoked') {
      for (const ended of arriving) ended.add(event.sessionId.toHexString());
      for (const { id, sessionId } of services.peers.of(event.userId)) {
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
    services.errors.note('call signalling', error, null);
  }

  function ended(connection: PeerConnection, reason: PeerEnd): void {
    signalling.release(connection);
    connections.delete(connection.connectionId);
    leave.get(connection)?.();
    if (reason !== 'too_slow' && reason !== 'too_many_packets') return;
    services.peers.noteEnd(reason);
    logger.warn({ reason, address: connection.caller.address }, 'a peer was disconnected');
  }

  /** Who wants to register what. A ticket for a call will be one more way to say so. @throws AppError */
  async function admit(request: IncomingMessage, address: string): Promise<Admission> {
    const searchParams = addressOf(request)?.searchParams ?? new URLSearchParams();
    if (!searchParams.get('token'))
      throw new AppError('unauthenticated', 'This takes an access token: new Peer(id, {token}).');
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
    const place = isClosing ? 'full' : places.take(networkOf(address));
    if (typeof place === 'string') return refuseUpgrade(socket, place === 'full' ? 503 : 429, RETRY_FULL);
    socket.once('close', place);
    if (socket.destroyed) return;
    try {
      await services.throttle.countCall(THROTTLES.connect, address);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return refuseUpgrade(socket, 429, error.retryAfter);
    }
    const endedMeanwhile = new Set<string>();
    arriving.add(endedMeanwhile);
    const admission = await admit(request, address)
      .catch((error: unknown) => {
        if (!(error instanceof AppError)) failed(error);
        return toPublicError(error);
      })
      .finally(() => arriving.delete(endedMeanwhile));
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if ('code' in admission) return refuse(webSocket, admission);
      try {
        if (endedMeanwhile.has(admission.caller.sessionId.toHexString())) {
          throw new AppError('session_revoked', 'The session has ended.');
        }
        enter(webSocket, admission, request.headers['user-agent'] ?? '', socket);
      } catch (error) {
        if (!(error instanceof AppError)) failed(error);
        refuse(webSocket, toPublicError(error));
      }
    });
  }

  /** Lets a peer in, in the place of the connection by which the same session has held its id. @throws AppError */
  function enter(
    webSocket: WebSocket,
    { peerId, caller, tokenExpiresAt }: Admission,
    userAgent: string,
    socket: Duplex,
  ): void {
    if (isClosing) throw new AppError('unavailable', 'The server is closing. Connect again.');
    const countOfUser = counts.get(caller.userId.toHexString()) ?? new FrameCount(limits.userRate);
    counts.set(caller.userId.toHexString(), countOfUser);
    if (countOfUser.wait > 0) {
      throw new AppError('rate_limited', 'Too many frames.', undefined, countOfUser.wait / 1000);
    }
    const holder = signalling.holderOf(peerId);
    if (holder?.caller.sessionId.equals(caller.sessionId)) {
      // It must not come again by itself: two tabs under one id would take it from each other for ever.
      holder.end('taken_over', ID_TAKEN);
    }
    services.peers.reserve(caller.userId)();
    const connectionId = randomUUID();
    const connection = new PeerConnection(
      webSocket,
      connectionId,
      peerId,
      caller,
      limits,
      countOfUser,
      total,
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
      userAgent: userAgent.slice(0, MAX_USER_AGENT),
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
    leave.set(connection, () => {
      services.peers.closed(live);
      lifetime.stop();
    });
    socket.on('data', (chunk: Buffer) => connection.meter(chunk.length, 0));
    library.connect(connection.librarySocket, peerId, sessionId.toHexString());
    // Otherwise the library has refused it, for somebody else holds the id.
    if (!connection.isEnded) signalling.hold(connection);
  }

  /** Tells a client why it may not come in, and closes its connection. */
  function refuse(webSocket: WebSocket, refusal: PublicError): void {
    webSocket.on('error', () => webSocket.terminate());
    // A client may have sent its first frames before it reads the answer. One that sends more is cut off.
    let bytes = 0;
    webSocket.on('message', (data: Buffer) => {
      bytes += data.length + FRAME_OVERHEAD;
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
      await inTime(Promise.all(closed), FAREWELL);
      for (const each of webSockets.clients) each.terminate();
      await new Promise((resolve) => webSockets.close(resolve));
      signalling.close();
      library.stop();
    },
  };
}
