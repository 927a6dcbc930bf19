import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { inTime } from '../utils/in-time';

/**
 * How long a connection may be idle: longer than the 60 s of load balancers and browsers. If the server closed it first,
 * a request that is on its way at that moment would be lost.
 */
const IDLE_CONNECTION_TIMEOUT_MS = 65_000;
/** How long connections without a request have to close by themselves. */
const CLOSE_TIMEOUT_MS = 250;
/** How long clients have to confirm that their WebSocket is closed. */
const WEB_SOCKET_CLOSE_TIMEOUT_MS = 1000;

/** What a listener needs to know about its requests. */
export interface ListenerOptions {
  handle: RequestListener;
  /** Whether the answer to a request waits for events, as with long polling. It ends when its sender is told to leave. */
  isLongPoll: (request: IncomingMessage) => boolean;
}

/** The HTTP server, with all connections and requests that are open on it, so that it can be stopped in steps. */
export class HttpListener {
  readonly server: Server;
  private readonly connections = new Set<Socket>();
  private readonly requests = new Set<ServerResponse>();
  private readonly longPolls = new Set<ServerResponse>();
  private isLeaving = false;
  private closed: Promise<void> = Promise.resolve();
  /** Called when the last request has ended. */
  private onIdle = new Set<() => void>();

  constructor({ handle, isLongPoll }: ListenerOptions) {
    this.server = createServer((request, response) => {
      this.track(response, isLongPoll(request) ? this.longPolls : this.requests);
      if (this.isLeaving) endConnectionAfter(response);
      handle(request, response);
    });
    this.server.keepAliveTimeout = IDLE_CONNECTION_TIMEOUT_MS;
    this.server.on('connection', (connection) => {
      this.connections.add(connection);
      connection.once('close', () => this.connections.delete(connection));
    });
  }

  /** The requests that have not been answered completely. */
  get inFlight(): number {
    return this.requests.size + this.longPolls.size;
  }

  listen(port: number, host: string): Promise<void> {
    const { server } = this;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
  }

  /**
   * Closes each connection after the answer of its current or next request, so that a client or a proxy that keeps
   * connections open opens its next one to another server. New connections are still accepted.
   */
  leave(): void {
    this.isLeaving = true;
    for (const response of [...this.requests, ...this.longPolls]) endConnectionAfter(response);
  }

  /** Refuses new connections, and closes those that are idle. */
  close(): void {
    this.leave();
    this.closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeIdleConnections();
  }

  /** Resolves when all requests except long polls have been answered, or after a timeout. */
  async idle(timeoutMs: number): Promise<void> {
    if (this.requests.size === 0) return;
    let done = () => {};
    await inTime(new Promise<void>((resolve) => this.onIdle.add((done = resolve))), timeoutMs).finally(() =>
      this.onIdle.delete(done),
    );
  }

  /**
   * Waits for the requests in flight and for the end of closed WebSockets, and then closes the connections that are left:
   * those of requests that take too long, of clients that do not confirm, and those without a request.
   * @param timeoutMs for the requests
   */
  async finish(timeoutMs: number): Promise<void> {
    await Promise.all([this.idle(timeoutMs), inTime(this.webSocketsClosed(), WEB_SOCKET_CLOSE_TIMEOUT_MS)]);
    await inTime(this.closed, CLOSE_TIMEOUT_MS);
    for (const connection of this.connections) connection.destroy();
    await this.closed;
  }

  private track(response: ServerResponse, group: Set<ServerResponse>): void {
    group.add(response);
    response.once('close', () => {
      group.delete(response);
      if (this.requests.size > 0) return;
      for (const callback of this.onIdle) callback();
    });
  }

  /** Resolves when the connections that were upgraded are closed. */
  private async webSocketsClosed(): Promise<void> {
    const upgraded = [...this.connections].filter((connection) => isUpgraded(connection));
    await Promise.all(
      upgraded.map((connection) => new Promise((resolve) => connection.once('close', resolve))),
    );
  }
}

/** Closes the connection of a request after its answer, and tells the client so. */
function endConnectionAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('Connection', 'close');
}

/** Node.js detaches the HTTP parser from a connection that is upgraded. */
function isUpgraded(connection: Socket): boolean {
  return (connection as Socket & { parser?: unknown }).parser === null;
}
