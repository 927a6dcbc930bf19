import type { Socket as EngineSocket } from 'engine.io';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { webSocketOf } from './transport';
import { addressOf } from './upgrade.router';

/** What a packet that waits costs beside its text, in bytes. */
const PACKET_OVERHEAD_BYTES = 256;

/**
 * A client that reads has this long to take what came at once, in milliseconds; and there is a bound to that, as a
 * multiple of what may wait for longer.
 */
const BURST_TIMEOUT_MS = 3000;
const BURST_FACTOR = 8;

/** The part of a packet of Engine.IO that is measured. */
interface Packet {
  data?: string | ArrayBufferView;
  /** What is sent to many is encoded once. */
  options?: { wsPreEncodedFrame?: Buffer[] };
}

/**
 * How much waits for a client that does not read, or not fast enough: what Engine.IO has not yet handed to the
 * transport, and what the transport has not yet handed to the system.
 */
export class Backlog {
  private waiting = 0;
  private waitingSince = 0;
  private exceeded = false;

  /**
   * @param limit in bytes: when more has been waiting for some seconds, the connection is cut off.
   * @param onExceeded is called once, before that.
   */
  constructor(
    private readonly conn: EngineSocket,
    private readonly responses: PollResponses,
    limit: number,
    onExceeded: (bytes: number) => void,
  ) {
    conn.on('packetCreate', (packet: Packet) => {
      if (this.waiting === 0) this.waitingSince = Date.now();
      this.waiting += sizeOf(packet);
      const { bytes } = this;
      if (this.exceeded || bytes <= limit) return;
      if (bytes <= BURST_FACTOR * limit && Date.now() - this.waitingSince < BURST_TIMEOUT_MS) return;
      this.exceeded = true;
      onExceeded(bytes);
      this.cutOff();
    });
    conn.on('flush', () => (this.waiting = 0));
  }

  /** What waits now, in bytes. */
  get bytes(): number {
    const webSocket = webSocketOf(this.conn);
    return this.waiting + (webSocket ? webSocket.bufferedAmount : this.responses.unsentBytes(this.conn));
  }

  /** Resolves when the transport has taken all that waits, or the connection has ended. */
  drained(): Promise<void> {
    if (this.waiting === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.conn.once('flush', resolve);
      this.conn.once('close', () => resolve());
    });
  }

  /** Closing would wait for what the client does not read. */
  private cutOff(): void {
    const webSocket = webSocketOf(this.conn);
    this.conn.close(true);
    webSocket?.terminate();
    this.responses.destroy(this.conn);
  }
}

/** The answers of the polling transport that are under way: a client may ask on a new connection each time. */
export class PollResponses {
  private readonly byConnection = new Map<string, Set<ServerResponse>>();

  track(request: IncomingMessage, response: ServerResponse): void {
    if (request.method !== 'GET') return;
    const id = addressOf(request)?.searchParams.get('sid');
    if (id === undefined || id === null) return;
    const own = this.byConnection.get(id) ?? new Set();
    this.byConnection.set(id, own.add(response));
    response.once('close', () => {
      own.delete(response);
      if (own.size === 0 && this.byConnection.get(id) === own) this.byConnection.delete(id);
    });
  }

  /** The bytes of answers to a connection that have not gone out. */
  unsentBytes(conn: EngineSocket): number {
    let bytes = 0;
    for (const response of this.byConnection.get(idOf(conn)) ?? []) bytes += response.writableLength;
    return bytes;
  }

  destroy(conn: EngineSocket): void {
    for (const response of this.byConnection.get(idOf(conn)) ?? []) response.destroy();
  }
}

/** The `sid` of the connection in the addresses that it asks. Engine.IO does not give it away. */
function idOf(conn: EngineSocket): string {
  return (conn as unknown as { id: string }).id;
}

function sizeOf({ data, options }: Packet): number {
  if (options?.wsPreEncodedFrame) {
    return options.wsPreEncodedFrame.reduce((sum, part) => sum + part.length, PACKET_OVERHEAD_BYTES);
  }
  if (data === undefined) return PACKET_OVERHEAD_BYTES;
  return PACKET_OVERHEAD_BYTES + (typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength);
}
