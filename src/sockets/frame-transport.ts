import { parser, Server as EngineServer, transports, type Transport } from 'engine.io';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';

type Packet = Parameters<typeof parser.encodePacket>[0];
type EngineOptions = ConstructorParameters<typeof EngineServer>[0];
type WebSocketRequest = ConstructorParameters<typeof transports.websocket>[0];

/** How long sockets are written to before other work of the event loop runs, such as results of the database. */
const SLICE_MS = 3;
/** Frames are joined to buffers of up to this size, in bytes: copying short frames is cheaper than writing them one by one. */
const MAX_JOINED_BYTES = 64 * 1024;

const TEXT_FRAME = 0x81;
const BINARY_FRAME = 0x82;

/** Encodes an unfragmented, unmasked WebSocket frame (RFC 6455, section 5.2). */
export function encodeFrame(data: string | Buffer): Buffer {
  const length = Buffer.byteLength(data);
  const header = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(header + length);
  frame[0] = typeof data === 'string' ? TEXT_FRAME : BINARY_FRAME;
  if (header === 2) frame[1] = length;
  else if (header === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  if (typeof data === 'string') frame.write(data, header);
  else data.copy(frame, header);
  return frame;
}

/**
 * The WebSocket transport of Engine.IO, except that it writes all frames of one turn of the event loop with one system
 * call, and takes frames that are already encoded. System calls are most of the cost of broadcasting, and Engine.IO by
 * itself makes one for each packet.
 *
 * It always accepts packets, so Engine.IO holds none back. While the operating system takes no more, the frames wait
 * here; frames that several connections share are not copied.
 */
export class FrameTransport extends transports.websocket {
  /** Called after a frame was added. @param first whether no other one was waiting. */
  onQueued: ((first: boolean) => void) | undefined;
  private readonly webSocket: WebSocket;
  private readonly tcp: Socket;
  private frames: Buffer[] = [];
  private frameBytes = 0;
  private scheduled = false;
  private writing = false;

  constructor(
    request: WebSocketRequest,
    private readonly writer: FrameWriter,
  ) {
    super(request);
    this.webSocket = request.websocket!;
    this.tcp = request.socket;
  }

  /** How many frames wait here. */
  get waitingFrames(): number {
    return this.frames.length;
  }

  /** The bytes that the operating system has not taken yet. */
  get unsentBytes(): number {
    return this.frameBytes + this.tcp.writableLength;
  }

  /** Sends packets of Engine.IO. */
  override send(packets: Packet[]): void {
    for (const packet of packets) {
      parser.encodePacket(packet, this.supportsBinary, (data) =>
        this.queue(encodeFrame(data as string | Buffer)),
      );
    }
    // Engine.IO waits for one such event for each call.
    this.emit('drain');
  }

  /** Sends a frame after those that were sent before. */
  queue(frame: Buffer): void {
    const first = this.frames.length === 0;
    this.frames.push(frame);
    this.frameBytes += frame.length;
    this.schedule();
    this.onQueued?.(first);
  }

  /** Writes the waiting frames. */
  flush(): void {
    this.scheduled = false;
    const { frames } = this;
    if (frames.length === 0) return;
    this.frames = [];
    this.frameBytes = 0;
    if (this.webSocket.readyState !== WebSocket.OPEN) return;
    this.writing = true;
    const buffers = this.writer.join(frames);
    const last = buffers.length - 1;
    for (let index = 0; index < last; index++) this.tcp.write(buffers[index]!);
    this.tcp.write(buffers[last]!, this.onWritten);
  }

  override doClose(done?: () => void): void {
    this.flush();
    super.doClose(done);
  }

  /** Ends the connection without waiting for the client. */
  terminate(): void {
    this.webSocket.terminate();
  }

  private schedule(): void {
    if (this.scheduled || this.writing) return;
    this.scheduled = true;
    this.writer.add(this);
  }

  private readonly onWritten = (error?: Error | null): void => {
    this.writing = false;
    if (error) this.onError('write error', error.stack);
    else if (this.frames.length > 0) this.schedule();
  };
}

/**
 * Writes to each connection once per turn of the event loop. When this takes too long, the other connections follow in
 * the next turn, with what they are sent meanwhile.
 */
class FrameWriter {
  private waiting: FrameTransport[] = [];
  /** The frames that were joined last, and the result. */
  private joined: { frames: readonly Buffer[]; buffers: Buffer[] } | undefined;

  add(transport: FrameTransport): void {
    if (this.waiting.push(transport) === 1) setImmediate(() => this.write());
  }

  /** Joins frames to few buffers. Connections of the same channels share them: they receive the same frames in a turn. */
  join(frames: readonly Buffer[]): Buffer[] {
    if (frames.length === 1) return [...frames];
    if (!this.joined || !isSame(this.joined.frames, frames))
      this.joined = { frames, buffers: joinFrames(frames) };
    return this.joined.buffers;
  }

  private write(): void {
    const end = performance.now() + SLICE_MS;
    const { waiting } = this;
    let count = 0;
    while (count < waiting.length) {
      waiting[count++]!.flush();
      if (performance.now() > end) break;
    }
    this.waiting = waiting.slice(count);
    this.joined = undefined;
    if (this.waiting.length > 0) setImmediate(() => this.write());
  }
}

function isSame(one: readonly Buffer[], other: readonly Buffer[]): boolean {
  return one.length === other.length && one.every((frame, index) => frame === other[index]);
}

function joinFrames(frames: readonly Buffer[]): Buffer[] {
  const buffers: Buffer[] = [];
  let first = 0;
  let bytes = 0;
  const join = (end: number) =>
    buffers.push(end === first + 1 ? frames[first]! : Buffer.concat(frames.slice(first, end), bytes));
  for (const [index, { length }] of frames.entries()) {
    if (index > first && bytes + length > MAX_JOINED_BYTES) {
      join(index);
      first = index;
      bytes = 0;
    }
    bytes += length;
  }
  join(frames.length);
  return buffers;
}

/** An Engine.IO server whose WebSocket connections use `FrameTransport`. */
export class FrameEngine extends EngineServer {
  private readonly writer = new FrameWriter();

  /** @param sessionKey the beginning of all session ids. */
  constructor(
    options: EngineOptions,
    private readonly sessionKey = '',
  ) {
    super(options);
  }

  override generateId(request: IncomingMessage): string {
    // Engine.IO's own method returns a string; only an override may return a promise.
    return this.sessionKey + (super.generateId(request) as string);
  }

  protected override createTransport(
    name: Parameters<EngineServer['createTransport']>[0],
    request: IncomingMessage,
  ): Transport {
    return name === 'websocket'
      ? new FrameTransport(request as WebSocketRequest, this.writer)
      : super.createTransport(name, request);
  }
}
