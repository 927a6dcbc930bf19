import { Router, type Request, type RequestHandler, type Response } from 'express';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { peerjsConfig, type PeerLimits } from '../config/peerjs.config';
import type { Context } from '../context';
import { THROTTLES } from '../models/operations/throttle.model';
import type { DomainEvent } from '../services/kernel/domain-events';
import { METRICS } from '../services/kernel/metrics';
import type { LiveConnection } from '../services/operations/live-connections';
import { AppError, toPublicError, type PublicError } from '../utils/errors';
import { inTime } from '../utils/in-time';
import { networkOf } from '../utils/network';
import { clientAddress, trustProxy } from '../utils/trust-proxy';
import { ConnectionLimit } from './connection-limit';
import { PeerAdmissions, type Admission } from './peer-admission';
import { PeerConnection, type PeerEnd } from './peer-connection';
import { errorFrame } from './peer-frame';
import { createPeerLibrary } from './peer-library';
import { PeerLifetime } from './peer-lifetime';
import { PeerPlaces } from './peer-places';
import { PeerRelay } from './peer-relay';
import { PeerSignalling } from './peer-signalling';
import { PeerWatches, type PeerRefusal } from './peer-watch';
import { refuseUpgrade, type UpgradeHandler } from './upgrade.router';
import { BoundedWebSocketServer } from './web-socket-server';

/** Seconds after which a client may retry that was refused because of the connection limit. */
const RETRY_AFTER_SECONDS = 10;

/** The stored part of the User-Agent header, in characters. */
const MAX_USER_AGENT_LENGTH = 256;

/** The bytes that a frame of a refused client counts in addition to its content. */
const FRAME_OVERHEAD_BYTES = 256;

/**
 * The frame that reports to a PeerJS client that its id is taken. It keeps a client whose connection was replaced from
 * reconnecting: two tabs with one id would take it from each other for ever.
 */
const ID_TAKEN = JSON.stringify({ type: 'ID-TAKEN', payload: { msg: 'ID is taken' } });

/** How long a closing server waits until clients have confirmed that they are closed. */
const CLOSE_TIMEOUT_MS = 1000;

export interface PeerServer {
  /** Its HTTP routes by path. WebSockets work only after these are mounted, in this order. */
  routes: Record<string, RequestHandler>;
  handleUpgrade: UpgradeHandler;
  /** Closes the WebSocket of every peer, and stops the library's timers. */
  close(): Promise<void>;
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
  const places = new PeerPlaces();
  const relayed = { delivered: 0, unreachable: 0 };
  if (context.peerRequests) {
    const counter = context.telemetry.counter(METRICS.peerFramesRelayed);
    for (const outcome of ['delivered', 'unreachable'] as const)
      counter.observe({ outcome }, () => relayed[outcome]);
  }
  const signalling = new PeerSignalling({
    limits,
    places,
    nodeId: context.nodes.id,
    freshness: context.freshness,
    relay: context.peerRequests && new PeerRelay(context.peerRequests),
    refresh: (callId) => watches.recheckCalls([callId]),
    recordRelayed: (outcome, frames) => (relayed[outcome] += frames),
  });
  const watches = new PeerWatches(services, places, {
    refused: (connectionId, refusal) => connections.get(connectionId)?.end(refusal.reason, frameOf(refusal)),
    placed: (callId, peerIds) => signalling.movePeers(callId, peerIds),
  });
  const admissions = new PeerAdmissions(services, limits, watches, signalling);
  const connections = new Map<string, PeerConnection>();
  const onEnded = new WeakMap<PeerConnection, () => void>();
  const unsentTotal = { bytes: 0 };
  /** The admissions in progress, for which a closing server waits. */
  const opening = new Set<Promise<void>>();
  let isClosing = false;

  const library = createPeerLibrary(limits.aliveTimeoutMs, config.http.corsOrigins, logger, failed);

  const pings = setInterval(() => {
    for (const connection of connections.values()) connection.ping();
  }, config.sockets.pingSeconds * 1000);
  pings.unref();

  const unsubscribe = bus.subscribe((event) => handleEvent(event));

  function handleEvent(event: DomainEvent): Promise<void> | undefined {
    if (event.type === 'maintenance.changed') {
      for (const connection of connections.values()) {
        const refusal = refusalDuringMaintenance(connection);
        if (refusal) connection.end('maintenance', errorFrame(refusal));
      }
    }
    // What has caused the event has succeeded, whatever happens here.
    return watches.handle(event)?.catch(failed);
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

  /** Answers the peer id of a ticket. */
  async function answerId(request: Request, response: Response): Promise<void> {
    const address = clientAddress(request, trust);
    await services.throttle.countCall(THROTTLES.connect, address);
    const holder = admissions.authentication.readRequest(request);
    await admissions.authentication.authenticate(holder, address);
    response.type('text').send(holder.peerId);
  }

  async function open(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const address = clientAddress(request, trust);
    const slot = isClosing || context.refusing ? 'full' : connectionLimit.acquire(networkOf(address));
    if (typeof slot === 'string') {
      services.peers.recordRefusal(slot === 'full' ? 'unavailable' : 'rate_limited');
      return refuseUpgrade(socket, slot === 'full' ? 503 : 429, RETRY_AFTER_SECONDS);
    }
    socket.once('close', slot);
    if (socket.destroyed) return;
    try {
      await services.throttle.countCall(THROTTLES.connect, address);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      services.peers.recordRefusal(error.code);
      return refuseUpgrade(socket, 429, error.retryAfter);
    }
    const admission = await admissions
      .admit(request, address)
      .catch((error: unknown) => publicErrorOf(error));
    let isOpen = false;
    webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      if ('code' in admission) return reject(webSocket, errorFrame(admission), admission.code);
      const { refusal } = admission.watch;
      if (refusal) return reject(webSocket, frameOf(refusal), refusal.error?.code ?? refusal.reason);
      try {
        accept(webSocket, admission, request.headers['user-agent'] ?? '', socket);
        isOpen = true;
      } catch (error) {
        const shown = publicErrorOf(error);
        reject(webSocket, errorFrame(shown), shown.code);
      }
    });
    // Also if the request is no valid upgrade, or if its TCP connection has ended.
    if (!isOpen && 'dismiss' in admission) {
      admission.release();
      admission.dismiss();
    }
  }

  /**
   * Opens the connection of a peer. An earlier connection of the same device in the same call has ended, when this one was
   * recorded in the call.
   * @throws AppError unavailable, maintenance, rate_limited
   */
  function accept(
    webSocket: WebSocket,
    { peer, tokenExpiresAt, release, dismiss }: Admission,
    userAgent: string,
    socket: Duplex,
  ): void {
    const { caller, connectionId, peerId } = peer;
    admissions.requireMayConnect(caller);
    const connection = new PeerConnection(webSocket, peer, limits, admissions.meterOf(caller), unsentTotal, {
      forward: (sender, frame) => signalling.forward(sender, frame),
      ended,
      failed,
    });
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
    release();
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
      dismiss();
    });
    socket.on('data', (chunk: Buffer) => connection.recordIncoming(chunk.length, 0));
    const owner = `${peer.callId.toHexString()} ${sessionId.toHexString()}`;
    library.connect(connection.librarySocket, peerId, owner);
    // If it has ended, the library has refused it, because the id is taken.
    if (!connection.isEnded) signalling.register(connection);
  }

  /** Returns what the client may see of an error, and reports the error if it is not the client's. */
  function publicErrorOf(error: unknown): PublicError {
    if (!(error instanceof AppError)) failed(error);
    return toPublicError(error);
  }

  /** Reports to a client why it is refused, and closes its connection. */
  function reject(webSocket: WebSocket, frame: string, reason: string): void {
    services.peers.recordRefusal(reason);
    webSocket.on('error', () => webSocket.terminate());
    // A client may send its first frames before it reads the error. One that sends more is terminated.
    let bytes = 0;
    webSocket.on('message', (data: Buffer) => {
      bytes += data.length + FRAME_OVERHEAD_BYTES;
      if (bytes > limits.maxFrameBytes) webSocket.terminate();
    });
    webSocket.send(frame);
    webSocket.close(1008, reason);
  }

  return {
    routes: {
      // The library's own route would give a new id to anybody.
      [peerjsConfig.idPath]: Router().get('/', answerId),
      [peerjsConfig.mountPath]: library.app,
    },
    handleUpgrade: (request, socket, head) => {
      const done = open(request, socket, head).catch((error: unknown) => {
        failed(error);
        socket.destroy();
      });
      opening.add(done);
      void done.then(() => opening.delete(done));
    },
    close: async () => {
      isClosing = true;
      admissions.close();
      clearInterval(pings);
      unsubscribe();
      for (const connection of connections.values()) connection.end('server_closing');
      const closed = [...webSockets.clients].map(
        (each) => new Promise((resolve) => each.once('close', resolve)),
      );
      await inTime(Promise.all([...closed, ...opening]), CLOSE_TIMEOUT_MS);
      for (const each of webSockets.clients) each.terminate();
      await new Promise((resolve) => webSockets.close(resolve));
      signalling.close();
      library.stop();
    },
  };
}

/** The frame by which a peer learns why its connection ends. */
function frameOf({ error }: PeerRefusal): string {
  return error ? errorFrame(error) : ID_TAKEN;
}
