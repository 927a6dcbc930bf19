import type { Socket as EngineSocket } from 'engine.io';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { FrameTransport } from './frame-transport';
import { addressOf } from './upgrade.router';

/** The memory that a waiting packet takes in addition to its text, in bytes. */
const PACKET_OVERHEAD_BYTES = 256;

/**
 * A burst may exceed the limit for this long, in milliseconds, and up to this multiple of the limit. A client that reads
 * has received it by then.
 */
const BURST_TIMEOUT_MS = 3000;
const BURST_FACTOR = 8;

/** The part of an Engine.IO packet whose size is measured. */
interface Packet {
  data?: string | ArrayBufferView;
}

/**
 * Limits how much waits for a client that does not read, or reads too slowly: what waits for the transport, and what the
 * transport has not yet passed to the operating system.
 */
export class Backlog {
  /** The bytes of the packets that Engine.IO has not yet passed to the transport. */
  private waiting = 0;
  private waitingSince = 0;
  private exceeded = false;

  /**
   * @param limit in bytes: when more has been waiting for some seconds, the connection is terminated.
   * @param onExceeded is called once, before that.
   */
  constructor(
    private readonly conn: EngineSocket,
    private readonly responses: PollResponses,
    private readonly limit: number,
    private readonly onExceeded: (bytes: number) => void,
  ) {
    if (conn.transport instanceof FrameTransport) this.watchFrames(conn.transport);
    else this.watchPackets();
  }

  /** The bytes that are waiting now. */
  get bytes(): number {
    const { transport } = this.conn;
    if (!(transport instanceof FrameTransport)) return this.waiting + this.responses.unsentBytes(this.conn);
    return transport.unsentBytes + transport.waitingFrames * PACKET_OVERHEAD_BYTES;
  }

  /** Resolves when the transport has accepted all waiting packets, or the connection has closed. */
  drained(): Promise<void> {
    if (this.waiting === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.conn.once('flush', resolve);
      this.conn.once('close', () => resolve());
    });
  }

  private watchFrames(transport: FrameTransport): void {
    transport.onQueued = (first) => {
      if (first) this.waitingSince = Date.now();
      this.check();
    };
  }

  /** Watches a connection that uses polling, until it is upgraded. */
  private watchPackets(): void {
    const { conn } = this;
    const onCreate = (packet: Packet) => {
      if (this.waiting === 0) this.waitingSince = Date.now();
      this.waiting += sizeOf(packet);
      this.check();
    };
    const onFlush = () => (this.waiting = 0);
    conn.on('packetCreate', onCreate).on('flush', onFlush);
    conn.once('upgrade', (transport: unknown) => {
      if (!(transport instanceof FrameTransport)) return;
      conn.off('packetCreate', onCreate).off('flush', onFlush);
      this.waiting = 0;
      this.watchFrames(transport);
    });
  }

  private check(): void {
    const { bytes, limit } = this;
    if (this.exceeded || bytes <= limit) return;
    if (bytes <= BURST_FACTOR * limit && Date.now() - this.waitingSince < BURST_TIMEOUT_MS) return;
    this.exceeded = true;
    this.onExceeded(bytes);
    this.cutOff();
  }

  /** Terminates the connection: closing it would wait until the client has read everything. */
  private cutOff(): void {
    const { transport } = this.conn;
    if (transport instanceof FrameTransport) transport.terminate();
    this.conn.close(true);
    this.responses.destroy(this.conn);
  }
}

/** Open responses of the polling transport, by `sid`: a client may send each request on a new TCP connection. */
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

  /** The bytes of a connection's responses that have not been sent yet. */
  unsentBytes(conn: EngineSocket): number {
    let bytes = 0;
    for (const response of this.byConnection.get(sessionIdOf(conn)) ?? []) bytes += response.writableLength;
    return bytes;
  }

  destroy(conn: EngineSocket): void {
    for (const response of this.byConnection.get(sessionIdOf(conn)) ?? []) response.destroy();
  }
}

/** The `sid` of a connection in its request URLs. Engine.IO does not declare it in its types. */
export function sessionIdOf(conn: EngineSocket): string {
  return (conn as unknown as { id: string }).id;
}

function sizeOf({ data }: Packet): number {
  if (data === undefined) return PACKET_OVERHEAD_BYTES;
  return PACKET_OVERHEAD_BYTES + (typeof data === 'string' ? Buffer.byteLength(data) : data.byteLength);
}
