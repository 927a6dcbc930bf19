import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { TicketHolder } from '../services/calls/call-tickets';
import type { PeerConnection } from './peer-connection';
import { WaitingFrames } from './waiting-frames';

/** Decides which frames reach which peer, and passes those to the PeerJS library. */
export class PeerSignalling {
  private readonly registered = new Map<string, PeerConnection>();
  private readonly waiting: WaitingFrames;

  constructor(limits: Pick<PeerLimits, 'absent'>) {
    this.waiting = new WaitingFrames(limits.absent, (frames) => {
      const notified = new Set<PeerConnection>();
      for (const { sender, frame } of frames) {
        if (!notified.has(sender)) sender.sendUnreachable(frame.dst);
        notified.add(sender);
      }
    });
  }

  /** Whether the holder of a ticket is registered. */
  isRegistered({ peerId, callId, sessionId }: TicketHolder): boolean {
    const known = this.registered.get(peerId);
    return known !== undefined && known.callId.equals(callId) && known.caller.sessionId.equals(sessionId);
  }

  /** Registers a connection with its peer id, and forwards the frames of its call that wait for that id. */
  register(connection: PeerConnection): void {
    this.registered.set(connection.peerId, connection);
    for (const { sender, frame } of this.waiting.take(connection)) {
      if (!sender.isEnded) this.forward(sender, frame);
    }
  }

  unregister(connection: PeerConnection): void {
    if (this.registered.get(connection.peerId) === connection) this.registered.delete(connection.peerId);
  }

  /**
   * Forwards a frame within a call. A peer of another call appears to be absent: the frame waits, and its sender receives
   * EXPIRE, as if nobody had registered the id.
   */
  forward(sender: PeerConnection, frame: PeerSignal): void {
    const size = Buffer.byteLength(JSON.stringify(frame)) + sender.peerId.length;
    const receiver = this.registered.get(frame.dst);
    if (receiver?.callId.equals(sender.callId)) {
      if (receiver.hasRoomFor(size)) sender.passToLibrary(frame);
      else sender.sendUnreachable(frame.dst);
    } else if (frame.type !== 'LEAVE' && !this.waiting.add(sender, frame, size)) {
      sender.sendUnreachable(frame.dst);
    }
  }

  close(): void {
    this.waiting.clear();
  }
}
