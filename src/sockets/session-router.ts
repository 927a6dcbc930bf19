import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { createServer, request as sendRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, isIP, type Socket } from 'node:net';
import { join, relative } from 'node:path';
import { pipeline, type Duplex } from 'node:stream';
import type { Context } from '../context';
import { METRICS } from '../services/kernel/metrics';
import type { Telemetry } from '../services/kernel/telemetry';
import { inTime } from '../utils/in-time';
import type { Logger } from '../utils/logger';
import { SOCKET_IO_PATH } from './socket.server';
import { addressOf, refuseUpgrade, type UpgradeHandler } from './upgrade.router';

/** Random bytes in the key of a process, which are 12 characters in base64url. */
const KEY_BYTES = 9;

/** A session id: SOCKET_ROUTE and a dot if it is set, the key of the process that created it, and the id of Engine.IO. */
const SESSION_ID = /^(?:[\w-]{1,63}\.)?([\w-]{12})[\w-]{20}$/;
/** The socket file of a process, and its name until the process listens on it. */
const SOCKET_FILE = /^[\w-]{12}\.sock(\.new)?$/;

/** The longest path of a Unix socket on all systems, in bytes. */
const MAX_PATH_BYTES = 103;
/** A process that has created its file under the first name listens on it within this time. */
const ABANDONED_AFTER_MS = 60_000;

/** Headers between the processes. Those of a client are removed. */
const ADDRESS_HEADER = 'parley-client-address';
const SENDER_HEADER = 'parley-sender';
/** The path by which a process announces that it is about to close its connections. */
const CLOSING_PATH = '/closing';

/** Headers that concern one connection and not the whole way. `Transfer-Encoding` of a request is sent on, so that its body is. */
const CONNECTION_HEADERS = ['connection', 'keep-alive', 'proxy-connection', 'upgrade', 'te', 'expect'];

/** Connections that one process passes on at the same time. */
const MAX_FORWARDED = 20_000;
/** The connections that may wait until a busy process accepts them. */
const BACKLOG = 4096;
/** How long a client may take to read the rest, after the other process has closed the connection. */
const CLOSE_TIMEOUT_MS = 5000;
/** The sessions of this process. */
export interface LocalSessions {
  handleRequest(request: IncomingMessage, response: ServerResponse): void;
  handleUpgrade: UpgradeHandler;
  /** Announces to the clients of sessions, by their ids, that their connection is about to close, and closes it. */
  closeSessions(ids: ReadonlySet<string>): void;
}

export interface SessionRouterOptions {
  /** A folder on this machine that all its processes share. It is created if necessary. */
  folder: string;
  /** The path of Socket.IO; nothing else is accepted from other processes. */
  path: string;
  /** How long a connection that is passed on may be silent, in milliseconds: longer than the interval of pings. */
  idleMs: number;
  /** How long the end of the connections between processes may delay a shutdown, in milliseconds. */
  drainMs: number;
  logger: Pick<Logger, 'warn'>;
  telemetry: Telemetry;
}

/** The folder in DATA_DIR in which the processes of a machine reach each other. */
const FOLDER = 'sessions';
/** How much longer than a ping and its answer a connection that is passed on may be silent. */
const IDLE_MARGIN_MS = 5000;
const DRAIN_TIMEOUT_MS = 1500;

/** Creates the router of this process. Without REDIS_URL there is one process only, which needs none. */
export function createSessionRouter({ config, logger, telemetry }: Context): SessionRouter | undefined {
  if (config.redisUrl === undefined) return undefined;
  const { pingSeconds, pongSeconds } = config.sockets;
  return new SessionRouter({
    folder: join(config.dataDir, FOLDER),
    path: SOCKET_IO_PATH,
    idleMs: (pingSeconds + pongSeconds) * 1000 + IDLE_MARGIN_MS,
    drainMs: DRAIN_TIMEOUT_MS,
    logger,
    telemetry,
  });
}

/**
 * Passes requests to the process that has their session. Engine.IO requires that all requests of a session reach the same
 * process: every poll, and the upgrade to WebSocket. When several processes share a port, the operating system or a
 * balancer chooses one for each connection. So each session id begins with the key of its process, and a process that
 * receives a request for a session of another one passes it on, over a Unix socket in a folder that only their user can
 * open. The name of the socket is the key.
 *
 * A session of a process that has ended, or runs on another machine, is handled here: Engine.IO answers that it does not
 * know the session, and the client connects anew.
 */
export class SessionRouter {
  /** The key of this process: random, but no secret, because the rest of a session id is. */
  readonly key = randomBytes(KEY_BYTES).toString('base64url');
  private readonly server = createServer();
  private sessions: LocalSessions | undefined;
  /** The path of the socket file; undefined while other processes cannot reach this one. */
  private file: string | undefined;
  /** The connections that this process passes on, by the key of the other process. */
  private readonly forwarded = new Map<string, Set<Forwarded>>();
  private forwardedCount = 0;
  /** The connections from other processes, which serve one request or upgrade each. */
  private readonly received = new Map<Socket, { sender: string; sessionId: string }>();
  private requests = 0;
  private upgrades = 0;

  constructor(private readonly options: SessionRouterOptions) {
    const { telemetry } = options;
    telemetry.counter(METRICS.forwarded).observe({ kind: 'request' }, () => this.requests);
    telemetry.counter(METRICS.forwarded).observe({ kind: 'upgrade' }, () => this.upgrades);
    telemetry.gauge(METRICS.forwardedConnections).observe({}, () => this.forwardedCount);
    this.server.on('request', (request, response) => this.receive(request, response));
    this.server.on('upgrade', (request, socket, head) => this.receiveUpgrade(request, socket, head));
    // Such as EMFILE: other connections are not affected.
    this.server.on('error', (error) =>
      options.logger.warn({ err: error }, 'a connection of another process failed'),
    );
  }

  /**
   * Lets other processes reach the sessions of this one. If that is impossible, such as on a file system without Unix
   * sockets, the server works without it, as long as a balancer sends all requests of a client to the same process.
   */
  async start(sessions: LocalSessions): Promise<void> {
    this.sessions = sessions;
    const { folder, logger } = this.options;
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await chmod(folder, 0o700);
      await this.removeAbandoned();
      const file = this.pathOf(this.key);
      // Its final name appears when it accepts connections, so that no other process removes it as abandoned.
      const created = `${file}.new`;
      await listen(this.server, created);
      await chmod(created, 0o600);
      await rename(created, file);
      this.file = file;
    } catch (error) {
      logger.warn(
        { err: error, folder },
        'other processes cannot reach the sessions of this one; clients that poll require a sticky balancer',
      );
    }
  }

  /** Handles a request of Socket.IO here, or in the process that has its session. */
  handleRequest(request: IncomingMessage, response: ServerResponse): void {
    const owner = this.ownerOf(request);
    if (owner === undefined) this.sessions!.handleRequest(request, response);
    else if (this.forwardedCount >= MAX_FORWARDED) refuse(response);
    else this.forwardRequest(owner, request, response);
  }

  /** Handles an upgrade of Socket.IO here, or in the process that has its session. */
  readonly handleUpgrade: UpgradeHandler = (request, socket, head) => {
    const owner = this.ownerOf(request);
    if (owner === undefined) this.sessions!.handleUpgrade(request, socket, head);
    else if (this.forwardedCount >= MAX_FORWARDED) refuseUpgrade(socket, 503);
    else this.forwardUpgrade(owner, request, socket, head);
  };

  /**
   * Ends the connections that this process passes on. Their clients learn it from the processes that have the sessions.
   * Connections from other processes stay open until `stop`.
   */
  async stopForwarding(): Promise<void> {
    const open = () => [...this.forwarded.values()].flatMap((connections) => [...connections]);
    const ended = Promise.all(open().map((each) => each.ended));
    await Promise.all([...this.forwarded.keys()].map((owner) => this.announceClosing(owner)));
    await inTime(ended, this.options.drainMs);
    for (const each of open()) each.destroy();
  }

  /** Stops receiving requests of other processes. The sessions of this process have ended before. */
  async stop(): Promise<void> {
    if (this.file !== undefined) await rm(this.file, { force: true });
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    await inTime(closed, this.options.drainMs);
    for (const socket of this.received.keys()) socket.destroy();
    this.server.closeAllConnections();
  }

  /** Returns the key of the other process that has created the session of a request. */
  private ownerOf(request: IncomingMessage): string | undefined {
    if (this.file === undefined) return undefined;
    const key = keyOf(request);
    return key === this.key ? undefined : key;
  }

  private forwardRequest(owner: string, request: IncomingMessage, response: ServerResponse): void {
    const connection = connect(this.pathOf(owner));
    const forwarded = this.track(owner, connection, () => response.destroy());
    response.once('close', () => connection.destroy());
    connection.once('error', (error) => {
      if (response.destroyed) return;
      // The body has not been read yet.
      if (isGone(error)) this.sessions!.handleRequest(request, response);
      else refuse(response);
      forwarded.release();
    });
    connection.once('connect', () => {
      this.requests++;
      connection.removeAllListeners('error');
      const upstream = sendRequest({
        createConnection: () => connection,
        method: request.method!,
        path: request.url!,
        headers: this.headersFor(request, CONNECTION_HEADERS),
      });
      connection.setTimeout(this.options.idleMs, () => connection.destroy());
      upstream.on('error', () => {
        if (response.headersSent) response.destroy();
        else refuse(response);
      });
      upstream.once('response', (answer) => {
        const headers = withoutHeaders(answer.rawHeaders, [...CONNECTION_HEADERS, 'transfer-encoding']);
        response.writeHead(answer.statusCode!, headers);
        pipeline(answer, response, () => undefined);
      });
      request.pipe(upstream);
    });
  }

  private forwardUpgrade(owner: string, request: IncomingMessage, client: Duplex, head: Buffer): void {
    const connection = connect(this.pathOf(owner));
    const forwarded = this.track(owner, connection, () => client.destroy());
    client.once('close', () => connection.destroy());
    connection.once('error', (error) => {
      if (client.destroyed) return;
      if (isGone(error)) this.sessions!.handleUpgrade(request, client, head);
      else refuseUpgrade(client, 503);
      forwarded.release();
    });
    connection.once('connect', () => {
      this.upgrades++;
      connection.removeAllListeners('error');
      connection.on('error', () => connection.destroy());
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      const headers = this.headersFor(request, []);
      for (let index = 0; index < headers.length; index += 2)
        lines.push(`${headers[index]}: ${headers[index + 1]}`);
      connection.write(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
      connection.write(head);
      connection.pipe(client);
      client.pipe(connection);
      (client as Socket).setTimeout(this.options.idleMs, () => client.destroy());
      connection.once('close', () => {
        // The client receives the rest first, unless it does not read.
        client.end();
        const force = setTimeout(() => client.destroy(), CLOSE_TIMEOUT_MS);
        client.once('close', () => clearTimeout(force));
      });
    });
  }

  /** The headers that another process gets: those of the client, and the address from which this process has the request. */
  private headersFor(request: IncomingMessage, without: readonly string[]): string[] {
    const headers = withoutHeaders(request.rawHeaders, [...without, ADDRESS_HEADER, SENDER_HEADER]);
    return [...headers, ADDRESS_HEADER, request.socket.remoteAddress ?? '', SENDER_HEADER, this.key];
  }

  private track(
    owner: string,
    connection: Socket,
    destroyClient: () => void,
  ): Forwarded & { release: () => void } {
    const connections = this.forwarded.get(owner) ?? new Set();
    this.forwarded.set(owner, connections);
    this.forwardedCount++;
    let release = () => {};
    const ended = new Promise<void>((resolve) => (release = resolve));
    const forwarded = {
      ended,
      release,
      destroy: () => {
        destroyClient();
        connection.destroy();
      },
    };
    connections.add(forwarded);
    connection.once('close', release);
    void ended.then(() => {
      this.forwardedCount--;
      connections.delete(forwarded);
      if (connections.size === 0) this.forwarded.delete(owner);
    });
    return forwarded;
  }

  /** Asks another process to end the sessions whose connections come from here. Resolves when it has, or is gone. */
  private announceClosing(owner: string): Promise<void> {
    return new Promise((resolve) => {
      const call = sendRequest({
        socketPath: this.pathOf(owner),
        agent: false,
        method: 'POST',
        path: CLOSING_PATH,
        headers: { [SENDER_HEADER]: this.key },
        timeout: this.options.drainMs,
      });
      call.once('timeout', () => call.destroy());
      call.once('close', resolve);
      call.on('error', () => undefined);
      call.once('response', (answer) => answer.resume());
      call.end();
    });
  }

  private receive(request: IncomingMessage, response: ServerResponse): void {
    const sender = request.headers[SENDER_HEADER];
    if (request.url === CLOSING_PATH) {
      const connections = [...this.received.values()].filter((each) => each.sender === sender);
      this.sessions!.closeSessions(new Set(connections.map(({ sessionId }) => sessionId)));
      response.writeHead(204).end();
    } else if (this.accept(request)) this.sessions!.handleRequest(request, response);
    else response.writeHead(404).end();
  }

  private receiveUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    if (this.accept(request)) this.sessions!.handleUpgrade(request, socket, head);
    else refuseUpgrade(socket, 404);
  }

  /** Whether another process may send this request. If so, its connection gets the address of the client. */
  private accept(request: IncomingMessage): boolean {
    const { socket, headers } = request;
    const address = headers[ADDRESS_HEADER];
    const sender = headers[SENDER_HEADER];
    if (keyOf(request) !== this.key || typeof address !== 'string' || typeof sender !== 'string')
      return false;
    if (!addressOf(request)?.pathname.startsWith(this.options.path)) return false;
    // A Unix socket has no address. The connection serves this request alone.
    if (isIP(address) > 0) Object.defineProperty(socket, 'remoteAddress', { value: address });
    this.received.set(socket, { sender, sessionId: sessionIdOf(request)! });
    socket.once('close', () => this.received.delete(socket));
    return true;
  }

  /** Removes the socket files of processes that were killed. */
  private async removeAbandoned(): Promise<void> {
    const { folder } = this.options;
    for (const name of await readdir(folder)) {
      const isNew = SOCKET_FILE.exec(name)?.[1] !== undefined;
      if (!SOCKET_FILE.test(name)) continue;
      const file = join(folder, name);
      const isAbandoned = isNew ? await isOld(file) : await isUnused(shortest(file));
      if (isAbandoned) await rm(file, { force: true });
    }
  }

  private pathOf(key: string): string {
    return shortest(join(this.options.folder, `${key}.sock`));
  }
}

/** A connection that is passed on. */
interface Forwarded {
  ended: Promise<void>;
  destroy(): void;
}

function sessionIdOf(request: IncomingMessage): string | undefined {
  return addressOf(request)?.searchParams.get('sid') ?? undefined;
}

/** The key of the process that has created the session of a request; undefined if there is no session. */
function keyOf(request: IncomingMessage): string | undefined {
  return SESSION_ID.exec(sessionIdOf(request) ?? '')?.[1];
}

/** @param raw names and values, alternating. @param names in lower case. */
function withoutHeaders(raw: readonly string[], names: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    if (!names.includes(raw[index]!.toLowerCase())) kept.push(raw[index]!, raw[index + 1]!);
  }
  return kept;
}

/** Answers that the process which has the session cannot be reached now. */
function refuse(response: ServerResponse): void {
  response.writeHead(503, { 'Retry-After': '1', 'Content-Length': '0' }).end();
}

/** Whether nothing listens on a socket file, or it does not exist. */
function isGone(error: Error): boolean {
  return ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes((error as NodeJS.ErrnoException).code ?? '');
}

function isUnused(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(file);
    connection.once('error', (error) => resolve(isGone(error)));
    connection.once('connect', () => {
      connection.destroy();
      resolve(false);
    });
  });
}

async function isOld(file: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > ABANDONED_AFTER_MS;
}

/** Paths of Unix sockets are limited: the one from the working directory may be shorter. */
function shortest(path: string): string {
  const short = relative(process.cwd(), path);
  return short.length < path.length ? short : path;
}

function listen(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) throw new Error(`The path ${path} is too long for a socket.`);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Otherwise the processes of a cluster would share it.
    server.listen({ path, exclusive: true, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
