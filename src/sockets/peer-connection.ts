import { EventEmitter } from 'node:events';
import type { ObjectId } from 'mongodb';
import type { WebSocket } from 'ws';
import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { Caller } from '../models/identity/session.model';
import { AppError, toPublicError } from '../utils/errors';
import { FrameMeter } from './frame-meter';
import { errorFrame, readFrame } from './peer-frame';

/** A connection with more unsent bytes is terminated when it ends: closing it would wait for its client to read. */
const MAX_GRACEFUL_CLOSE_BYTES = 64 * 1024;

/** Why a connection ended. */
export type PeerEnd =
  | 'closed'
  | 'left'
  | 'taken_over'
  | 'call_ended'
  | 'not_in_call'
  | 'session_ended'
  | 'token_expired'
  | 'maintenance'
  | 'too_slow'
  | 'too_many_packets'
  | 'unanswered'
  | 'server_closing';

/** The reasons for which a connection is terminated without a closing handshake. */
const ABRUPT_ENDS: readonly PeerEnd[] = ['too_slow', 'too_many_packets', 'unanswered'];

/** The reasons for which frames that the client has sent before are not delivered any more. */
const REFUSED_ENDS: readonly PeerEnd[] = [
  'call_ended',
  'not_in_call',
  'session_ended',
  'token_expired',
  'maintenance',
];

/** The unsent bytes of all peers together. */
export interface UnsentTotal {
  bytes: number;
}

/** Receives the frames, the end and the errors of a connection. */
export interface PeerFrameHandler {
  /** Forwards a frame to another peer. */
  forward(sender: PeerConnection, frame: PeerSignal): void;
  ended(connection: PeerConnection, reason: PeerEnd): void;
  /** Reports an error of the library or of forwarding. */
  failed(error: unknown): void;
}

/** A peer that may connect. */
export interface AdmittedPeer {
  /** Unique per connection; successive connections of a peer have different ones. */
  connectionId: string;
  peerId: string;
  callId: ObjectId;
  caller: Caller;
}

/**
 * The WebSocket of one peer, between `ws` and the PeerJS library. The library uses `librarySocket` as its WebSocket: it
 * receives only frames that match the schema and are within the limits, and can only send and close.
 */
export class PeerConnection {
  readonly librarySocket: WebSocket;
  readonly connectionId: string;
  readonly peerId: string;
  readonly callId: ObjectId;
  readonly caller: Caller;
  private readonly emitter = new EventEmitter();
  private reason: PeerEnd | undefined;
  /** Bytes that were sent, but that the operating system has not accepted yet. */
  private unsent = 0;
  private fullSince: number | undefined;
  private pingsSent = 0;
  private hasAnsweredPing = true;
  private readonly meter: FrameMeter;

  constructor(
    private readonly webSocket: WebSocket,
    { connectionId, peerId, callId, caller }: AdmittedPeer,
    private readonly limits: PeerLimits,
    /** Counts the frames of all connections of the user. */
    private readonly userMeter: FrameMeter,
    private readonly total: UnsentTotal,
    private readonly handler: PeerFrameHandler,
  ) {
    this.connectionId = connectionId;
    this.peerId = peerId;
    this.callId = callId;
    this.caller = caller;
    this.meter = new FrameMeter(limits.rate);
    this.librarySocket = Object.assign(this.emitter, {
      send: (text: string) => this.send(text),
      close: () => this.end('closed'),
    }) as unknown as WebSocket;
    webSocket.on('error', () => this.end('closed'));
    webSocket.on('close', () => this.end('closed'));
    webSocket.on('message', (data: Buffer) => this.receive(data));
    webSocket.on('pong', (data: Buffer) => {
      if (data.toString() === String(this.pingsSent)) this.hasAnsweredPing = true;
    });
  }

  get isEnded(): boolean {
    return this.reason !== undefined;
  }

  /** Whether it has ended because its user may not be connected any more. */
  get isRefused(): boolean {
    return this.reason !== undefined && REFUSED_ENDS.includes(this.reason);
  }

  /** Passes a valid frame to the library, which adds the sender's id to it. */
  passToLibrary(frame: PeerSignal | { type: 'HEARTBEAT' }): void {
    if (!this.isEnded) this.emitToLibrary('message', JSON.stringify(frame));
  }

  /**
   * Whether a frame of another peer may be sent to this client now. A client whose backlog stays full for `timeoutMs`
   * is disconnected: this happens only to one that does not read, since each frame that is read makes room for another.
   */
  hasRoomFor(bytes: number): boolean {
    const { backlog } = this.limits;
    if (this.unsent + bytes <= backlog.bytes && this.total.bytes + bytes <= backlog.bytesInAll) {
      this.fullSince = undefined;
      return true;
    }
    this.fullSince ??= Date.now();
    if (Date.now() - this.fullSince > backlog.timeoutMs) this.end('too_slow');
    return false;
  }

  /** Sends a text frame. Frames of the server itself may exceed the backlog limit, up to twice the limit. */
  send(text: string): void {
    if (this.isEnded) return;
    const data = Buffer.from(text);
    this.unsent += data.length;
    this.total.bytes += data.length;
    this.webSocket.send(data, { binary: false }, () => {
      if (this.isEnded) return;
      this.unsent -= data.length;
      this.total.bytes -= data.length;
    });
    if (this.unsent > 2 * this.limits.backlog.bytes) this.end('too_slow');
  }

  /** Sends a frame of a peer of another node, in the form of the library. */
  deliver(src: string, { type, dst, ...rest }: PeerSignal): void {
    this.send(JSON.stringify({ type, src, dst, ...rest }));
  }

  /** Reports to the client that the peer to which it has sent a frame cannot be reached. */
  sendUnreachable(peerId: string): void {
    this.send(JSON.stringify({ type: 'EXPIRE', src: peerId, dst: this.peerId }));
  }

  /** Counts incoming bytes and frames, and disconnects the client when it exceeds the limit. */
  recordIncoming(bytes: number, frames: number): void {
    for (const meter of [this.meter, this.userMeter]) meter.add(frames, bytes);
    const waitMs = Math.max(this.meter.waitMs, this.userMeter.waitMs);
    if (waitMs === 0) return;
    // A client may send until it has confirmed the closing handshake.
    if (this.isEnded) this.webSocket.terminate();
    else {
      const error = new AppError('rate_limited', 'Too many frames.', undefined, waitMs / 1000);
      this.end('too_many_packets', errorFrame(toPublicError(error)));
    }
  }

  /** Pings the client, or disconnects it if it has not answered the previous ping. */
  ping(): void {
    if (!this.hasAnsweredPing) return this.end('unanswered');
    this.hasAnsweredPing = false;
    this.webSocket.ping(String(++this.pingsSent));
  }

  /**
   * Ends the connection. When this returns, no frame is received or sent any more, and the peer id is free.
   * @param lastFrame is sent first.
   */
  end(reason: PeerEnd, lastFrame?: string): void {
    if (lastFrame !== undefined) this.send(lastFrame);
    if (this.isEnded) return;
    this.reason = reason;
    this.total.bytes -= this.unsent;
    this.emitToLibrary('close');
    this.handler.ended(this, reason);
    this.webSocket.close(reason === 'server_closing' ? 1001 : 1000, reason);
    if (ABRUPT_ENDS.includes(reason) || this.unsent > MAX_GRACEFUL_CLOSE_BYTES) this.webSocket.terminate();
  }

  private receive(data: Buffer): void {
    this.recordIncoming(0, 1);
    if (this.isEnded) return;
    const frame = readFrame(data, this.limits.maxDepth);
    if ('error' in frame) return this.send(errorFrame(frame.error));
    if (frame.value.type === 'HEARTBEAT') return this.passToLibrary(frame.value);
    if (frame.value.type === 'LEAVE' && frame.value.dst === '') this.end('left');
    else this.forward(frame.value);
  }

  private forward(frame: PeerSignal): void {
    try {
      this.handler.forward(this, frame);
    } catch (error) {
      this.handler.failed(error);
      this.sendUnreachable(frame.dst);
    }
  }

  private emitToLibrary(event: 'message' | 'close', text?: string): void {
    try {
      this.emitter.emit(event, text);
    } catch (error) {
      this.handler.failed(error);
    }
  }
}
