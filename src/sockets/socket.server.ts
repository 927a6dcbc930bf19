import type { Socket as EngineSocket } from 'engine.io';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server } from 'socket.io';
import type { Context } from '../context';
import { clientHandshake } from '../models/operations/client-version.model';
import type { UserAudiences } from '../services/access/read-access';
import type { DisconnectReason, LiveConnection } from '../services/operations/live-connections';
import type { PresenceSettings } from '../services/presence/user-presence';
import { THROTTLES } from '../models/operations/throttle.model';
import { AppError, toPublicError } from '../utils/errors';
import { inTime } from '../utils/in-time';
import { clientAddress, trustProxy } from '../utils/trust-proxy';
import { parseInput } from '../utils/validation';
import { Backlog, PollResponses, sessionIdOf } from './backlog';
import { Broadcaster } from './broadcast';
import { EventGate } from './event-gate';
import { FrameEngine } from './frame-transport';
import { dispatchEvents } from './handlers/dispatch';
import { authHandlers } from './handlers/auth.handlers';
import { messageMarkHandlers } from './handlers/message-mark.handlers';
import { messageHandlers } from './handlers/message.handlers';
import { callHandlers } from './handlers/call.handlers';
import { presenceHandlers } from './handlers/presence.handlers';
import { throttleHandshakes } from './handshake-throttle';
import { limitPackets } from './packet-limit';
import { syncHandlers } from './handlers/sync.handlers';
import { SocketLifetime } from './socket-lifetime';
import { SocketMetrics } from './socket-metrics';
import type { ParleyServer, ParleySocket } from './socket.types';
import type { UpgradeHandler } from './upgrade.router';
import { BoundedWebSocketServer } from './web-socket-server';

/** The default path of Socket.IO clients. */
export const SOCKET_IO_PATH = '/socket.io/';

/** The largest packet of a client: enough for any message of 8,000 characters in JSON. */
const MAX_PACKET_BYTES = 128 * 1024;

/** How long a connection may take to authenticate, and how often it may try. */
const ADMISSION_TIMEOUT_MS = 10_000;
const MAX_ADMISSION_ATTEMPTS = 10;

/** The packets that a client may send for each event that it may send. */
const PACKETS_PER_EVENT = 40;

/** The period over which clients reconnect after a restart: proportional to their number, within bounds. */
const RECONNECT_SPREAD_MS = { perSocket: 5, min: 2000, max: 20_000 };
/** The shortest time that a restart takes. */
const MIN_RESTART_MS = 500;

/** The stored part of the User-Agent header, in characters. */
const MAX_USER_AGENT_LENGTH = 256;

/** How long a closing server waits until clients that use long polling have received what was sent. */
const DRAIN_TIMEOUT_MS = 500;
/** How long it waits for requests in flight, whose events clients should receive, and for these and events together. */
const REQUESTS_TIMEOUT_MS = 1500;
const WORK_TIMEOUT_MS = 3000;

/** What was read during a handshake, for use when the connection is open. */
interface Handshake {
  mark: number;
  audiences: UserAudiences;
  presenceSettings: PresenceSettings;
  /** Releases the slot that is reserved for the connection. */
  release: () => void;
  tokenExpiresAt: Date;
}

export interface SocketServer {
  /** Handles requests of the long-polling transport, and handshakes. */
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade: UpgradeHandler;
  /** Announces to the clients of some sessions that their connection closes, and closes it; they reconnect. */
  closeSessions(ids: ReadonlySet<string>): void;
  /**
   * Announces to all clients, and to those that connect from now on, that the server closes, and when they should
   * reconnect. Resolves when they have received it, or after a timeout.
   */
  announceClosing(): Promise<void>;
  /**
   * Finishes events that are being handled, refuses others, and closes every socket.
   * @param requestsDone resolves when no request is in flight, or after a number of milliseconds: clients receive the
   *   events that requests cause.
   */
  close(requestsDone: (timeoutMs: number) => Promise<void>): Promise<void>;
}

/**
 * Creates the Socket.IO server. It is not attached to an HTTP server: the owner of that passes it the requests and
 * upgrades of SOCKET_IO_PATH, so that Socket.IO handles no others.
 * @param sessionKey the beginning of all session ids of Engine.IO, by which other processes know whose they are.
 */
export function createSocketServer(context: Context, sessionKey?: string): SocketServer {
  const { bus, config, freshness, logger, services, telemetry, tracing } = context;
  const { corsOrigins } = config.http;
  const { backlogBytes, eventsPerSecond, pingSeconds, pongSeconds, route } = config.sockets;
  const trust = trustProxy(config.http.trustProxy);
  const options = {
    serveClient: false,
    ...(corsOrigins.length > 0 && { cors: { origin: corsOrigins } }),
  };
  const engineOptions = {
    maxHttpBufferSize: MAX_PACKET_BYTES,
    wsEngine: BoundedWebSocketServer,
    pingInterval: pingSeconds * 1000,
    pingTimeout: pongSeconds * 1000,
    // Answers to events have tickets of calls and texts of others side by side (docs/decisions/0062-compression.md).
    httpCompression: false,
    perMessageDeflate: false,
    ...options,
  };
  // The load balancer reads the route, which the key follows.
  const engine = new FrameEngine(
    engineOptions,
    `${route === undefined ? '' : `${route}.`}${sessionKey ?? ''}`,
  );
  engine.use(
    throttleHandshakes((request) =>
      admitHandshake(request).catch((error: unknown) => {
        services.connections.recordRefusal(toPublicError(error).code);
        throw error;
      }),
    ),
  );

  async function admitHandshake(request: IncomingMessage): Promise<void> {
    if (!context.refusing)
      await services.throttle.countCall(THROTTLES.connect, clientAddress(request, trust));
    // The server may have begun to close meanwhile.
    if (context.refusing) throw new AppError('unavailable', 'The server is closing. Connect again.');
  }

  const io: ParleyServer = new Server({ connectTimeout: ADMISSION_TIMEOUT_MS, ...options });
  io.bind(engine);
  const metrics = new SocketMetrics(telemetry);
  const broadcaster = new Broadcaster(io, bus, services.audiences, metrics, freshness, context.relay);
  const gate = new EventGate(eventsPerSecond, services.connections);
  const pollResponses = new PollResponses();
  const handlers = {
    ...messageHandlers(services.messages),
    ...messageMarkHandlers(services),
    ...syncHandlers(services.sync, services.reads),
    ...presenceHandlers(services.presence, services.typing),
    ...callHandlers(services.videoCalls, services.callQuality),
    ...authHandlers(),
  };
  const handshakes = new WeakMap<ParleySocket, Handshake>();
  const attempts = new WeakMap<object, number>();

  /** The period over which clients reconnect, when the server has announced that it closes. */
  let spread: number | undefined;
  let isClosed = false;
  const backlogs = new Set<Backlog>();
  engine.on('connection', (conn: EngineSocket) => {
    if (isClosed) {
      conn.close(true);
      return;
    }
    const recordEnd = (reason: DisconnectReason) => {
      services.connections.recordEnd(reason);
      logger.warn({ reason, address: conn.remoteAddress }, 'a connection was ended');
    };
    const backlog = new Backlog(conn, pollResponses, backlogBytes, () => recordEnd('too_slow'));
    backlogs.add(backlog);
    metrics.watch(conn, backlog);
    conn.once('close', () => backlogs.delete(backlog));
    limitPackets(conn, eventsPerSecond * PACKETS_PER_EVENT, () => recordEnd('too_many_packets'));
  });

  io.use((socket, next) => {
    admit(socket).then(
      () => next(),
      (error: unknown) => {
        if (!(error instanceof AppError)) logger.error({ err: error }, 'socket handshake failed');
        services.errors.record('socket handshake', error, null);
        const data = toPublicError(error);
        services.connections.recordRefusal(data.code);
        next(Object.assign(new Error(data.message), { data }));
      },
    );
  });

  async function admit(socket: ParleySocket): Promise<void> {
    const attempt = (attempts.get(socket.conn) ?? 0) + 1;
    attempts.set(socket.conn, attempt);
    if (attempt > MAX_ADMISSION_ATTEMPTS) socket.conn.close();
    const { token, client } = socket.handshake.auth as { token: unknown; client: unknown };
    services.clientVersions.admit(parseInput(clientHandshake, { client }, 'payload').client);
    if (typeof token !== 'string' || token === '') {
      throw new AppError('unauthenticated', 'An access token is required: auth: {token}.');
    }
    const mark = services.audiences.mark();
    const { caller, tokenExpiresAt } = await services.sessions.authenticate(
      token,
      clientAddress(socket.request, trust),
    );
    services.maintenance.admit(caller);
    const release = services.connections.reserve(caller.userId);
    socket.conn.once('close', release);
    socket.data.caller = caller;
    const [{ audiences }, presenceSettings] = await Promise.all([
      services.access.readable(caller.userId),
      services.presence.findSettings(caller.userId),
    ]).catch((error: unknown) => {
      release();
      throw error;
    });
    handshakes.set(socket, { mark, audiences, presenceSettings, release, tokenExpiresAt });
  }

  io.on('connection', (socket) => {
    const handshake = handshakes.get(socket);
    handshake?.release();
    if (!handshake || !enter(socket, handshake)) {
      // Its rights changed during the handshake. When the transport closes, the client reconnects at once.
      socket.conn.close();
      return;
    }
    const connection = toConnection(socket);
    const { id, userId } = connection;
    services.connections.opened(connection);
    services.presence.handleConnected(id, userId, handshake.presenceSettings);
    socket.once('disconnect', (reason) => {
      services.connections.closed(connection);
      // After a restart, the participants of calls have time to reconnect.
      if (reason !== 'server shutting down') void services.callConnections.lost(id);
      // A client that the server disconnects returns only after a new log-in.
      const isFinal = reason === 'server namespace disconnect';
      // The others reconnect to another node. They count as connected here until this node has left.
      if (spread === undefined || isFinal) services.presence.handleDisconnected(id, userId, isFinal);
      if (services.connections.connectionsOf(userId).length === 0) void services.typing.stopAll(userId);
    });
    const lifetime = new SocketLifetime(socket, services.sessions, handshake.tokenExpiresAt);
    dispatchEvents(socket, lifetime, handlers, { ...services, freshness }, gate, logger, tracing);
    if (spread !== undefined) sendClosing(socket, spread);
  });

  /** @returns false, and adds the socket to no room, if what was read in its handshake may be outdated. */
  function enter(socket: ParleySocket, { audiences, mark }: Handshake): boolean {
    if (!services.audiences.enter(socket.data.caller.userId, audiences, mark)) return false;
    broadcaster.enter(socket);
    return true;
  }

  /**
   * Announces to clients that their connection closes, and gives each a random delay after which to reconnect.
   * @returns the period over which they reconnect, in milliseconds.
   */
  function announceTo(sockets: readonly ParleySocket[]): number {
    const period = Math.min(
      RECONNECT_SPREAD_MS.max,
      Math.max(RECONNECT_SPREAD_MS.min, sockets.length * RECONNECT_SPREAD_MS.perSocket),
    );
    for (const socket of sockets) sendClosing(socket, period);
    return period;
  }

  function sendClosing(socket: ParleySocket, period: number): void {
    socket.emit('server:closing', { reconnectAfter: Math.round(MIN_RESTART_MS + Math.random() * period) });
  }

  /** Resolves when clients have been sent everything, or after a timeout. */
  async function drain(): Promise<void> {
    await inTime(Promise.all([...backlogs].map((backlog) => backlog.drained())), DRAIN_TIMEOUT_MS);
  }

  return {
    handleRequest: (request, response) => {
      pollResponses.track(request, response);
      engine.handleRequest(request, response);
    },
    handleUpgrade: (request, socket, head) => engine.handleUpgrade(request, socket, head),
    closeSessions: (ids) => {
      const sockets = [...io.of('/').sockets.values()].filter(({ conn }) => ids.has(sessionIdOf(conn)));
      announceTo(sockets);
      for (const { conn } of sockets) conn.close();
    },
    announceClosing: async () => {
      spread = announceTo([...io.of('/').sockets.values()]);
      await drain();
    },
    close: async (requestsDone) => {
      const end = performance.now() + WORK_TIMEOUT_MS;
      await requestsDone(REQUESTS_TIMEOUT_MS);
      await gate.close(end - performance.now());
      broadcaster.stop();
      await drain();
      isClosed = true;
      if (spread !== undefined) context.relay?.expectReturns(MIN_RESTART_MS + spread);
      await io.close();
    },
  };
}

function toConnection({ id, handshake, data }: ParleySocket): LiveConnection {
  const { userId, sessionId, address } = data.caller;
  const userAgent = (handshake.headers['user-agent'] ?? '').slice(0, MAX_USER_AGENT_LENGTH);
  return { id, userId, sessionId, address, userAgent, since: new Date() };
}
