import { EventEmitter } from 'node:events';
import type { WebSocket } from 'ws';
import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { Caller } from '../models/identity/session.model';
import { AppError, toPublicError } from '../utils/errors';
import { FrameMeter } from './frame-meter';
import { errorFrame, readFrame } from './peer-frame';

/** Frames that are kept while earlier ones are handled; with more, the connection is not read. */
const MAX_INBOX_FRAMES = 32;
/** A connection for which more than this waits is cut off when it ends: closing would wait for its client to read. */
const MAX_GRACEFUL_CLOSE_BYTES = 64 * 1024;

/** Why a connection ended. */
export type PeerEnd =
  | 'closed'
  | 'left'
  | 'taken_over'
  | 'session_ended'
  | 'token_expired'
  | 'maintenance'
  | 'too_slow'
  | 'too_many_packets'
  | 'unanswered'
  | 'server_closing';

/** Ends that leave no time for a closing handshake. */
const ABRUPT_ENDS: readonly PeerEnd[] = ['too_slow', 'too_many_packets', 'unanswered'];

/** What waits for all peers together, in bytes. */
export interface UnsentTotal {
  bytes: number;
}

/** What a connection hands its frames to. */
export interface PeerFrameHandler {
  /** Takes a frame for another peer. Frames of one connection are handed over one after the other. */
  forward(sender: PeerConnection, frame: PeerSignal): Promise<void>;
  ended(connection: PeerConnection, reason: PeerEnd): void;
  /** Takes an error of the library. */
  failed(error: unknown): void;
}

/**
 * One WebSocket of a peer. It stands between `ws` and the PeerJS library: the library is given `librarySocket` for a
 * WebSocket, sees only frames that fit the schema, within the limits, and can only send and close.
 */
export class PeerConnection {
  readonly librarySocket: WebSocket;
  private readonly emitter = new EventEmitter();
  private readonly inbox: PeerSignal[] = [];
  private isWorking = false;
  private reason: PeerEnd | undefined;
  /** Bytes that were sent and that the system has not taken. */
  private unsent = 0;
  private fullSince: number | undefined;
  private pingsSent = 0;
  private hasAnsweredPing = true;
  private readonly meter: FrameMeter;

  constructor(
    private readonly webSocket: WebSocket,
    /** Of the connection, not of the peer: two connections never have the same. */
    readonly connectionId: string,
    readonly peerId: string,
    readonly caller: Caller,
    private readonly limits: PeerLimits,
    /** What all connections of the user have sent. */
    private readonly userMeter: FrameMeter,
    private readonly total: UnsentTotal,
    private readonly handler: PeerFrameHandler,
  ) {
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

  /** Hands a checked frame to the library, which puts in who sent it. */
  passToLibrary(frame: PeerSignal | { type: 'HEARTBEAT' }): void {
    if (!this.isEnded) this.emitToLibrary('message', JSON.stringify(frame));
  }

  /** Handles frames once more, before those that came after them. */
  retry(frames: readonly PeerSignal[]): void {
    this.inbox.unshift(...frames);
    this.work();
  }

  /**
   * Whether a frame of another peer may be sent here now. A client that has not made room for `timeout` is cut off:
   * only one that does not read at all, for every frame that it takes makes room for another.
   */
  hasRoomFor(bytes: number): boolean {
    const { backlog } = this.limits;
    if (this.unsent + bytes <= backlog.bytes && this.total.bytes + bytes <= backlog.bytesInAll) {
      this.fullSince = undefined;
      return true;
    }
    this.fullSince ??= Date.now();
    if (Date.now() - this.fullSince > backlog.timeout) this.end('too_slow');
    return false;
  }

  /** Sends a text. What the server itself has to say may exceed the backlog, by as much again. */
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

  /** Tells the client that a peer to which it has sent something cannot be reached. */
  sendUnreachable(peerId: string): void {
    this.send(JSON.stringify({ type: 'EXPIRE', src: peerId, dst: this.peerId }));
  }

  /** Counts what came in from the network, frame or not, and cuts the connection off beyond the limit. */
  recordIncoming(bytes: number, frames: number): void {
    for (const meter of [this.meter, this.userMeter]) meter.add(frames, bytes);
    const waitMs = Math.max(this.meter.waitMs, this.userMeter.waitMs);
    if (waitMs === 0) return;
    // One that has ended may go on sending until it has confirmed that it is closed.
    if (this.isEnded) this.webSocket.terminate();
    else {
      const error = new AppError('rate_limited', 'Too many frames.', undefined, waitMs / 1000);
      this.end('too_many_packets', errorFrame(toPublicError(error)));
    }
  }

  /** Asks whether the client is there; one that has not answered the last time is cut off. */
  ping(): void {
    // While it is not read, its answer does not arrive either.
    if (this.webSocket.isPaused) return;
    if (!this.hasAnsweredPing) return this.end('unanswered');
    this.hasAnsweredPing = false;
    this.webSocket.ping(String(++this.pingsSent));
  }

  /**
   * Ends the connection: when it returns, nothing more is taken from it or sent to it, and its id is free.
   * @param lastFrame is sent before, where the client can still be told something.
   */
  end(reason: PeerEnd, lastFrame?: string): void {
    if (lastFrame !== undefined) this.send(lastFrame);
    if (this.isEnded) return;
    this.reason = reason;
    this.total.bytes -= this.unsent;
    this.inbox.length = 0;
    this.emitToLibrary('close');
    this.handler.ended(this, reason);
    this.webSocket.close(reason === 'server_closing' ? 1001 : 1000, reason);
    // A closing handshake is seen only where the client is read.
    this.webSocket.resume();
    if (ABRUPT_ENDS.includes(reason) || this.unsent > MAX_GRACEFUL_CLOSE_BYTES) this.webSocket.terminate();
  }

  private receive(data: Buffer): void {
    this.recordIncoming(0, 1);
    if (this.isEnded) return;
    const frame = readFrame(data, this.limits.maxDepth);
    if ('error' in frame) return this.send(errorFrame(frame.error));
    if (frame.value.type === 'HEARTBEAT') return this.passToLibrary(frame.value);
    this.inbox.push(frame.value);
    if (this.inbox.length >= MAX_INBOX_FRAMES) this.webSocket.pause();
    this.work();
  }

  private work(): void {
    if (this.isWorking) return;
    this.isWorking = true;
    void this.handleInbox().finally(() => {
      this.isWorking = false;
      if (this.webSocket.isPaused) this.webSocket.resume();
    });
  }

  private async handleInbox(): Promise<void> {
    for (let frame = this.inbox.shift(); frame && !this.isEnded; frame = this.inbox.shift()) {
      if (frame.type === 'LEAVE' && frame.dst === '') this.end('left');
      else await this.forward(frame);
    }
  }

  private async forward(frame: PeerSignal): Promise<void> {
    try {
      await this.handler.forward(this, frame);
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
