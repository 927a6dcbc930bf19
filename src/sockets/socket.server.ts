import { Server as EngineServer } from 'engine.io';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Server } from 'socket.io';
import type { Context } from '../context';
import type { UserAudiences } from '../services/access';
import { AppError, toPublicError } from '../utils/errors';
import { clientAddress, trustProxy } from '../utils/trust-proxy';
import { Broadcaster } from './broadcast';
import { dispatchEvents } from './handlers/dispatch';
import { authHandlers } from './handlers/auth.handlers';
import { messageHandlers } from './handlers/message.handlers';
import { SocketLifetime } from './socket-lifetime';
import type { ParleyServer, ParleySocket } from './socket.types';
import type { UpgradeHandler } from './upgrade.router';

/** Where Socket.IO clients connect by default. */
export const SOCKET_IO_PATH = '/socket.io/';

/** The largest packet of a client, in bytes: a message of 8,000 characters at its longest in JSON. */
const MAX_PACKET = 128 * 1024;

/** What a handshake found out, for when the connection stands. */
interface Admission {
  mark: number;
  audiences: UserAudiences;
  tokenExpiresAt: Date;
}

export interface SocketServer {
  /** Answers the long-polling transport and the handshake. */
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade: UpgradeHandler;
  /** Closes every socket. */
  close(): Promise<void>;
}

/**
 * The Socket.IO side of Parley. It is not attached to a listener: whoever owns that hands over the requests and
 * upgrades of SOCKET_IO_PATH, so that nothing else on the listener is touched.
 */
export function createSocketServer(context: Context): SocketServer {
  const { bus, config, logger, services } = context;
  const { corsOrigins } = config.http;
  const options = {
    serveClient: false,
    ...(corsOrigins.length > 0 && { cors: { origin: corsOrigins } }),
  };
  const engine = new EngineServer({ maxHttpBufferSize: MAX_PACKET, ...options });
  const io: ParleyServer = new Server(options);
  io.bind(engine);
  const trust = trustProxy(config.http.trustProxy);
  const broadcaster = new Broadcaster(io, bus);
  const detach = services.presence.attach(broadcaster);
  const messages = messageHandlers(services.messages);
  const admissions = new WeakMap<ParleySocket, Admission>();

  io.use((socket, next) => {
    admit(socket).then(
      () => next(),
      (error: unknown) => {
        if (!(error instanceof AppError)) logger.error({ err: error }, 'socket handshake failed');
        services.errors.note('socket handshake', error, null);
        const data = toPublicError(error);
        next(Object.assign(new Error(data.message), { data }));
      },
    );
  });

  async function admit(socket: ParleySocket): Promise<void> {
    const token: unknown = socket.handshake.auth['token'];
    if (typeof token !== 'string' || token === '') {
      throw new AppError('unauthenticated', 'This takes an access token: auth: {token}.');
    }
    const mark = broadcaster.mark();
    const { caller, tokenExpiresAt } = await services.sessions.authenticate(
      token,
      clientAddress(socket.request, trust),
    );
    services.maintenance.admit(caller);
    socket.data.caller = caller;
    socket.data.privateChannels = new Map();
    const audiences = await services.access.audiencesOf(caller.userId);
    admissions.set(socket, { mark, audiences, tokenExpiresAt });
  }

  io.on('connection', (socket) => {
    const admission = admissions.get(socket);
    if (!admission || !broadcaster.enter(socket, admission.audiences, admission.mark)) {
      // Its rights changed during the handshake. Closing the transport makes the client come again at once.
      socket.conn.close();
      return;
    }
    services.connections.opened(socket.data.caller.userId);
    socket.once('disconnect', () => services.connections.closed(socket.data.caller.userId));
    const lifetime = new SocketLifetime(socket, services.sessions, admission.tokenExpiresAt);
    dispatchEvents(socket, { ...messages, ...authHandlers(lifetime) }, services, logger);
  });

  return {
    handleRequest: (request, response) => engine.handleRequest(request, response),
    handleUpgrade: (request, socket, head) => engine.handleUpgrade(request, socket, head),
    close: async () => {
      broadcaster.stop();
      detach();
      await io.close();
    },
  };
}
