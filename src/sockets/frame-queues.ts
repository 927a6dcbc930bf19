import type { ObjectId } from 'mongodb';
import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { PeerConnection } from './peer-connection';

/** A frame that waits for a peer of the call of its sender. */
export interface QueuedFrame {
  sender: PeerConnection;
  frame: PeerSignal;
  /** Its size as text. */
  size: number;
  /** When it arrived, by `performance.now`. */
  since: number;
}

/** The frames that wait for one peer, in the order of their arrival. It exists while there are any. */
export interface FrameQueue {
  readonly callId: ObjectId;
  readonly peerId: string;
  readonly frames: QueuedFrame[];
  bytes: number;
  /** Whether its first frames are being sent to another node. */
  isSending: boolean;
  /** Whether it has waited for its peer. */
  hasWaited: boolean;
  timer: NodeJS.Timeout | undefined;
  /** Ends what was begun when the queue was created. */
  release: () => void;
}

/** The memory that a queued frame takes in addition to its text, in bytes. */
const FRAME_OVERHEAD_BYTES = 256;

/** Queues of frames for peers that are absent or on other nodes, with limits per peer, per sender and in total. */
export class FrameQueues {
  /** By call and peer id: a frame never waits for a peer of another call. */
  private readonly byPeer = new Map<string, FrameQueue>();
  private readonly bytesBySender = new Map<string, number>();
  private bytes = 0;

  /** @param hold is called for each new queue, and its result when that queue is empty. */
  constructor(
    private readonly limits: PeerLimits['absent'],
    private readonly hold: (callId: ObjectId) => () => void,
  ) {}

  find(callId: ObjectId, peerId: string): FrameQueue | undefined {
    return this.byPeer.get(keyOf(callId, peerId));
  }

  all(): FrameQueue[] {
    return [...this.byPeer.values()];
  }

  /** Adds a frame to the queue of its peer. @returns undefined if a limit is reached. */
  add(sender: PeerConnection, frame: PeerSignal, size: number): FrameQueue | undefined {
    const { limits } = this;
    const bytes = size + FRAME_OVERHEAD_BYTES;
    const known = this.find(sender.callId, frame.dst);
    const user = sender.caller.userId.toHexString();
    const bySender = this.bytesBySender.get(user) ?? 0;
    if (known && known.frames.length >= limits.framesPerPeer) return undefined;
    if ((known?.bytes ?? 0) + bytes > limits.bytesPerPeer) return undefined;
    if (bySender + bytes > limits.bytesPerSender || this.bytes + bytes > limits.bytesInAll) return undefined;
    const queue = known ?? this.create(sender.callId, frame.dst);
    queue.frames.push({ sender, frame, size, since: performance.now() });
    queue.bytes += bytes;
    this.bytesBySender.set(user, bySender + bytes);
    this.bytes += bytes;
    return queue;
  }

  /** Removes the first frames of a queue, by default all. @returns the removed frames in their order. */
  take(queue: FrameQueue, count = queue.frames.length): QueuedFrame[] {
    const taken = queue.frames.splice(0, count);
    for (const { sender, size } of taken) {
      const bytes = size + FRAME_OVERHEAD_BYTES;
      queue.bytes -= bytes;
      this.bytes -= bytes;
      const user = sender.caller.userId.toHexString();
      const left = (this.bytesBySender.get(user) ?? bytes) - bytes;
      if (left > 0) this.bytesBySender.set(user, left);
      else this.bytesBySender.delete(user);
    }
    if (queue.frames.length === 0) this.remove(queue);
    return taken;
  }

  /** Removes all frames. */
  clear(): void {
    for (const queue of this.all()) this.take(queue);
  }

  private create(callId: ObjectId, peerId: string): FrameQueue {
    const queue: FrameQueue = {
      callId,
      peerId,
      frames: [],
      bytes: 0,
      isSending: false,
      hasWaited: false,
      timer: undefined,
      release: this.hold(callId),
    };
    this.byPeer.set(keyOf(callId, peerId), queue);
    return queue;
  }

  private remove(queue: FrameQueue): void {
    clearTimeout(queue.timer);
    // It has been removed before if it was empty already.
    if (this.byPeer.get(keyOf(queue.callId, queue.peerId)) !== queue) return;
    this.byPeer.delete(keyOf(queue.callId, queue.peerId));
    queue.release();
  }
}

function keyOf(callId: ObjectId, peerId: string): string {
  return `${callId.toHexString()} ${peerId}`;
}
