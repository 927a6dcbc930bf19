import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Config } from '../../config/env.config';
import { clientAddress, trustProxy } from '../../utils/trust-proxy';

/** How a request of the doctor has arrived through the proxies in front of the server. */
export interface Arrival {
  /** The client's address, as the server would determine it with TRUST_PROXY. */
  client: string;
  /** The address from which the connection came. */
  peer: string;
  /** Whether TRUST_PROXY trusts that address. */
  isPeerTrusted: boolean;
  forwardedFor: string | undefined;
}

/** Appended to the key of a client by the server in the opening handshake of a WebSocket (RFC 6455). */
const WEB_SOCKET_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * Listens in place of a server that does not run, for the requests of the doctor alone, which it recognises by a random
 * number in their paths. All others are answered 503, as a server that is not ready does.
 */
export class ProbeListener {
  private readonly arrivals: Arrival[] = [];

  private constructor(
    private readonly server: Server,
    readonly mark: string,
    setting: Config['http']['trustProxy'],
  ) {
    const trust = trustProxy(setting);
    const record = (request: IncomingMessage): boolean => {
      if (!request.url?.includes(mark)) return false;
      const { remoteAddress: peer = '' } = request.socket;
      this.arrivals.push({
        client: clientAddress(request, trust),
        peer,
        isPeerTrusted: trust(peer, 0),
        forwardedFor: request.headers['x-forwarded-for'] as string | undefined,
      });
      return true;
    };
    server.on('request', (request, response) => {
      response.setHeader('Connection', 'close');
      if (record(request)) response.end(mark);
      else response.writeHead(503, { 'Retry-After': '5' }).end();
    });
    server.on('upgrade', (request, socket) => {
      socket.on('error', () => undefined);
      if (record(request)) {
        const key = `${request.headers['sec-websocket-key'] ?? ''}${WEB_SOCKET_SUFFIX}`;
        const accept = createHash('sha1').update(key).digest('base64');
        const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
        socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'));
      }
      socket.end();
    });
  }

  /** Opens the port. @throws Error of `listen`, such as EADDRINUSE */
  static async open({ port, host, trustProxy: trust }: Config['http'], mark: string): Promise<ProbeListener> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => resolve());
    });
    server.on('error', () => undefined);
    return new ProbeListener(server, mark, trust);
  }

  /** How the first request of the doctor has arrived; undefined if none has. */
  get arrival(): Arrival | undefined {
    return this.arrivals[0];
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}
