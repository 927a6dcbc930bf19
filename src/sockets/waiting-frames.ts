import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { PeerConnection } from './peer-connection';

/** A frame that waits for an absent peer of the call of its sender. */
interface WaitingFrame {
  sender: PeerConnection;
  frame: PeerSignal;
  bytes: number;
}

interface PeerQueue {
  frames: WaitingFrame[];
  bytes: number;
  timer: NodeJS.Timeout;
}

/** The memory that a waiting frame takes in addition to its text, in bytes. */
const FRAME_OVERHEAD_BYTES = 256;

/** Keeps frames for peers that are absent for a short time, with limits per peer, per sender and in total. */
export class WaitingFrames {
  /** By call and peer id: a frame never waits for a peer of another call. */
  private readonly byPeer = new Map<string, PeerQueue>();
  private readonly bytesBySender = new Map<string, number>();
  private bytes = 0;

  /** @param onExpired receives the frames of a peer that has not connected in time. */
  constructor(
    private readonly limits: PeerLimits['absent'],
    private readonly onExpired: (frames: WaitingFrame[]) => void,
  ) {}

  /** Keeps a frame until its peer connects or the time has expired. @returns false if a limit is reached. */
  add(sender: PeerConnection, frame: PeerSignal, size: number): boolean {
    const { limits } = this;
    const bytes = size + FRAME_OVERHEAD_BYTES;
    const key = keyOf({ callId: sender.callId, peerId: frame.dst });
    const known = this.byPeer.get(key);
    const user = sender.caller.userId.toHexString();
    const bySender = this.bytesBySender.get(user) ?? 0;
    if (known && known.frames.length >= limits.framesPerPeer) return false;
    if ((known?.bytes ?? 0) + bytes > limits.bytesPerPeer) return false;
    if (bySender + bytes > limits.bytesPerSender || this.bytes + bytes > limits.bytesInAll) return false;
    const waiting = known ?? this.createQueue(key);
    waiting.frames.push({ sender, frame, bytes });
    waiting.bytes += bytes;
    this.bytesBySender.set(user, bySender + bytes);
    this.bytes += bytes;
    return true;
  }

  /** Removes and returns the frames that wait for a peer, in the order of their arrival. */
  take(peer: Pick<PeerConnection, 'callId' | 'peerId'>): WaitingFrame[] {
    return this.remove(keyOf(peer));
  }

  /** Removes all frames. */
  clear(): void {
    for (const key of [...this.byPeer.keys()]) this.remove(key);
  }

  private remove(key: string): WaitingFrame[] {
    const waiting = this.byPeer.get(key);
    if (!waiting) return [];
    clearTimeout(waiting.timer);
    this.byPeer.delete(key);
    this.bytes -= waiting.bytes;
    for (const { sender, bytes } of waiting.frames) {
      const user = sender.caller.userId.toHexString();
      const left = (this.bytesBySender.get(user) ?? bytes) - bytes;
      if (left > 0) this.bytesBySender.set(user, left);
      else this.bytesBySender.delete(user);
    }
    return waiting.frames;
  }

  private createQueue(key: string): PeerQueue {
    const timer = setTimeout(() => this.onExpired(this.remove(key)), this.limits.timeoutMs);
    const waiting = { frames: [], bytes: 0, timer: timer.unref() };
    this.byPeer.set(key, waiting);
    return waiting;
  }
}

function keyOf({ callId, peerId }: Pick<PeerConnection, 'callId' | 'peerId'>): string {
  return `${callId.toHexString()} ${peerId}`;
}
