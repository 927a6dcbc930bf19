import type { ObjectId } from 'mongodb';
import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { Blocks } from '../services/users/blocks';
import type { EventBus } from '../services/kernel/event-bus';
import { RevocableCache } from '../utils/revocable-cache';
import type { PeerConnection } from './peer-connection';
import { WaitingFrames } from './waiting-frames';

/** Pairs of users for whom it is cached whether one has blocked the other. */
const MAX_CACHED_PAIRS = 10_000;

/** Decides which frames reach which peer, and passes those to the PeerJS library. */
export class PeerSignalling {
  private readonly registered = new Map<string, PeerConnection>();
  private readonly waiting: WaitingFrames;
  private readonly blockCache: RevocableCache<{ blocked: boolean }>;
  private readonly unsubscribe: () => void;

  /** @param blockMaxAge milliseconds for which a block is cached; undefined with one node, where it stays valid. */
  constructor(
    limits: PeerLimits,
    private readonly blocks: Pick<Blocks, 'existsBetween'>,
    bus: EventBus,
    blockMaxAge: number | undefined,
  ) {
    this.waiting = new WaitingFrames(limits.absent, (frames) => {
      const notified = new Set<PeerConnection>();
      for (const { sender, frame } of frames) {
        if (!notified.has(sender)) sender.sendUnreachable(frame.dst);
        notified.add(sender);
      }
    });
    this.blockCache = new RevocableCache(MAX_CACHED_PAIRS, blockMaxAge);
    this.unsubscribe = bus.subscribe((event) => {
      if (event.type === 'block.changed') this.blockCache.delete(pairKey(event.userId, event.blockedId));
      if (event.type === 'events.missed') this.blockCache.clear();
    });
  }

  /** The connection that is registered with a peer id. */
  connectionOf(peerId: string): PeerConnection | undefined {
    return this.registered.get(peerId);
  }

  /** Registers a connection with its peer id, and forwards the frames that wait for that id. */
  register(connection: PeerConnection): void {
    this.registered.set(connection.peerId, connection);
    const bySender = new Map<PeerConnection, PeerSignal[]>();
    for (const { sender, frame } of this.waiting.take(connection.peerId)) {
      if (sender.isEnded) continue;
      const own = bySender.get(sender);
      if (own) own.push(frame);
      else bySender.set(sender, [frame]);
    }
    for (const [sender, frames] of bySender) sender.retry(frames);
  }

  unregister(connection: PeerConnection): void {
    if (this.registered.get(connection.peerId) === connection) this.registered.delete(connection.peerId);
  }

  /**
   * Forwards a frame. Between users of whom one has blocked the other, a peer appears to be absent: the frame waits, and
   * its sender receives EXPIRE, as if nobody had registered the id.
   */
  async forward(sender: PeerConnection, frame: PeerSignal): Promise<void> {
    const size = Buffer.byteLength(JSON.stringify(frame)) + sender.peerId.length;
    for (;;) {
      const receiver = this.registered.get(frame.dst);
      if (!receiver || (await this.isBlocked(sender, receiver))) {
        if (frame.type !== 'LEAVE' && !this.waiting.add(sender, frame, size))
          sender.sendUnreachable(frame.dst);
        return;
      }
      // Another user may have registered the id meanwhile, to whom this block does not apply.
      if (this.registered.get(frame.dst) !== receiver) continue;
      if (receiver.hasRoomFor(size)) sender.passToLibrary(frame);
      else sender.sendUnreachable(frame.dst);
      return;
    }
  }

  close(): void {
    this.unsubscribe();
    this.waiting.clear();
  }

  private async isBlocked(one: PeerConnection, other: PeerConnection): Promise<boolean> {
    const [a, b] = [one.caller.userId, other.caller.userId];
    if (a.equals(b)) return false;
    const found = await this.blockCache.get(pairKey(a, b), async () => ({
      blocked: await this.blocks.existsBetween(a, b),
    }));
    return found?.blocked ?? true;
  }
}

function pairKey(one: ObjectId, other: ObjectId): string {
  return [one.toHexString(), other.toHexString()].sort().join();
}
