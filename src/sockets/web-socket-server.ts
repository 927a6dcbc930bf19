import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws';

/** The window in which control frames are counted, and how many a client may send. Browsers send no pings. */
const WINDOW_MS = 10_000;
const MAX_CONTROL_FRAMES = 500;
/** No ping is answered while more unsent bytes wait for the client. */
const MAX_UNSENT_BYTES = 16 * 1024;
/** How long a client may take to confirm the closing handshake. */
const CLOSE_TIMEOUT_MS = 5000;

/**
 * A WebSocket server whose clients cannot exhaust its memory with pings. `ws` by itself answers each ping at once, even
 * if the client never reads the pongs, and neither Engine.IO nor PeerJS limits pings.
 */
export class BoundedWebSocketServer extends WebSocketServer {
  constructor(options: ServerOptions) {
    super({ ...options, autoPong: false, closeTimeout: CLOSE_TIMEOUT_MS } as ServerOptions);
  }

  override handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    done: (webSocket: WebSocket, request: IncomingMessage) => void,
  ): void {
    super.handleUpgrade(request, socket, head, (webSocket, upgradeRequest) => {
      limitControlFrames(webSocket);
      done(webSocket, upgradeRequest);
    });
  }
}

function limitControlFrames(webSocket: WebSocket): void {
  let count = 0;
  let windowEnd = 0;
  const isFlood = () => {
    const now = Date.now();
    if (now >= windowEnd) {
      windowEnd = now + WINDOW_MS;
      count = 0;
    }
    return ++count > MAX_CONTROL_FRAMES;
  };
  webSocket.on('ping', (data: Buffer) => {
    if (isFlood()) webSocket.terminate();
    // RFC 6455 allows a server to answer only the most recent ping.
    else if (webSocket.bufferedAmount <= MAX_UNSENT_BYTES) webSocket.pong(data);
  });
  webSocket.on('pong', () => {
    if (isFlood()) webSocket.terminate();
  });
}
