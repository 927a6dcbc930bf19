import type { ObjectId } from 'mongodb';
import type { PeerLimits } from '../config/peerjs.config';
import type { PeerSignal } from '../models/calls/peer.model';
import type { TicketHolder } from '../services/calls/call-tickets';
import type { Freshness } from '../services/kernel/freshness';
import { inTime } from '../utils/in-time';
import { FrameQueues, type FrameQueue, type QueuedFrame } from './frame-queues';
import type { PeerConnection } from './peer-connection';
import { readFrame } from './peer-frame';
import type { PeerPlace, PeerPlaces } from './peer-places';
import type { Delivery, DeliveryAnswer, PeerRelay } from './peer-relay';

/** The interval at which frames are sent again to a node that should have the connection of their peer, but has not. */
const RETRY_MS = 500;
/** The most text that is sent to another node at once, in bytes, if it is more than one frame. */
const BATCH_BYTES = 128 * 1024;
/** The part of the time for which frames wait that another node may take to open the connection of their peer. */
const OPENING_SHARE = 0.75;

/** The dependencies of PeerSignalling. */
export interface PeerSignallingDeps {
  limits: Pick<PeerLimits, 'absent' | 'maxDepth'>;
  places: PeerPlaces;
  nodeId: string;
  /** While this node is not fresh, a sender may have been removed from the call without its knowledge. */
  freshness: Pick<Freshness, 'isFresh' | 'whenFresh' | 'untilFresh'>;
  /** Undefined if this is the only node. */
  relay: PeerRelay | undefined;
  /** Reads the latest version of a call into `places`. */
  refresh: (callId: ObjectId) => Promise<void>;
  /** Counts frames that were sent to other nodes. */
  recordRelayed: (outcome: 'delivered' | 'unreachable', frames: number) => void;
}

/** Where a peer is connected to another node. */
interface RelayedPlace extends PeerPlace {
  relay: PeerRelay;
}

/**
 * Decides which frames reach which peer. Frames for peers of this node are passed to the PeerJS library, and frames for
 * peers of other nodes to those nodes. Frames for absent peers wait on the node of their sender.
 *
 * The frames for a peer of another node are sent in batches. A batch is sent when the outcome of the former one is known,
 * so frames arrive in order, and frames that a node could not deliver are sent to the node to which the peer has moved.
 */
export class PeerSignalling {
  private readonly registered = new Map<string, PeerConnection>();
  /** The connections that are recorded in their calls, but not open yet. */
  private readonly opening = new Map<string, { settled: Promise<void>; end: () => void }>();
  private readonly queues: FrameQueues;
  private isAwaitingFreshness = false;
  private isClosed = false;

  constructor(private readonly deps: PeerSignallingDeps) {
    this.queues = new FrameQueues(deps.limits.absent, (callId) => deps.places.hold(callId));
    deps.relay?.start((delivery) => this.receive(delivery));
  }

  /** Whether the holder of a ticket is registered. */
  isRegistered({ peerId, callId, sessionId }: TicketHolder): boolean {
    const known = this.registered.get(peerId);
    return known !== undefined && known.callId.equals(callId) && known.caller.sessionId.equals(sessionId);
  }

  /**
   * Expects a connection, which other nodes learn of before it is registered: frames that they send to it wait until then.
   * @returns a function that ends this. Repeated calls have no effect.
   */
  expect(connectionId: string): () => void {
    let settle = () => {};
    const settled = new Promise<void>((resolve) => (settle = resolve));
    const end = () => {
      settle();
      this.opening.delete(connectionId);
    };
    this.opening.set(connectionId, { settled, end });
    return end;
  }

  /** Registers a connection with its peer id, and forwards the frames of its call that wait for that id. */
  register(connection: PeerConnection): void {
    this.registered.set(connection.peerId, connection);
    this.opening.get(connection.connectionId)?.end();
    this.flush(this.queues.find(connection.callId, connection.peerId));
  }

  unregister(connection: PeerConnection): void {
    if (this.registered.get(connection.peerId) === connection) this.registered.delete(connection.peerId);
  }

  /** Sends the frames that wait for peers of a call whose places have changed. */
  movePeers(callId: ObjectId, peerIds: readonly string[]): void {
    for (const peerId of peerIds) this.flush(this.queues.find(callId, peerId));
  }

  /**
   * Forwards a frame within a call. A peer of another call appears to be absent: the frame waits, and its sender receives
   * EXPIRE, as if nobody had registered the id.
   */
  forward(sender: PeerConnection, frame: PeerSignal): void {
    const { callId } = sender;
    const size = Buffer.byteLength(JSON.stringify(frame)) + sender.peerId.length;
    const isFirst = !this.queues.find(callId, frame.dst);
    const receiver = this.receiverOf(callId, frame.dst);
    if (isFirst && receiver && this.deps.freshness.isFresh) {
      this.deliver(receiver, sender, frame, size);
      return;
    }
    // Nobody needs to learn that a peer leaves whom it cannot reach.
    if (frame.type === 'LEAVE' && isFirst && !receiver && !this.placeElsewhere(callId, frame.dst)) return;
    const queue = this.queues.add(sender, frame, size);
    if (!queue) sender.sendUnreachable(frame.dst);
    else if (isFirst) this.flush(queue);
  }

  close(): void {
    this.isClosed = true;
    this.queues.clear();
  }

  /** Sends the frames of a queue to their peer, or waits for it. */
  private flush(queue: FrameQueue | undefined): void {
    if (!queue || queue.isSending) return;
    if (!this.deps.freshness.isFresh) {
      this.wait(queue);
      this.awaitFreshness();
      return;
    }
    const receiver = this.receiverOf(queue.callId, queue.peerId);
    const place = this.placeElsewhere(queue.callId, queue.peerId);
    if (receiver) {
      for (const { sender, frame, size } of this.queues.take(queue)) {
        if (!sender.isEnded) this.deliver(receiver, sender, frame, size);
      }
    } else if (place) void this.sendBatch(queue, place);
    else this.wait(queue);
  }

  private awaitFreshness(): void {
    if (this.isAwaitingFreshness) return;
    this.isAwaitingFreshness = true;
    this.deps.freshness.whenFresh(() => {
      this.isAwaitingFreshness = false;
      for (const queue of this.queues.all()) this.flush(queue);
    });
  }

  /** Waits for the peer of a queue until its first frame expires; then all do. @param retryMs after which to try again. */
  private wait(queue: FrameQueue, retryMs = Infinity): void {
    const leftMs = queue.frames[0]!.since + this.deps.limits.absent.timeoutMs - performance.now();
    queue.hasWaited = true;
    clearTimeout(queue.timer);
    const next = () => (retryMs < leftMs ? this.flush(queue) : this.expire(this.queues.take(queue)));
    queue.timer = setTimeout(next, Math.min(leftMs, retryMs)).unref();
  }

  /** Reports to the senders of frames that they could not be delivered, once to each. */
  private expire(frames: readonly QueuedFrame[]): void {
    const notified = new Set<PeerConnection>();
    for (const { sender, frame } of frames) {
      if (frame.type === 'LEAVE' || notified.has(sender)) continue;
      sender.sendUnreachable(frame.dst);
      notified.add(sender);
    }
  }

  private deliver(receiver: PeerConnection, sender: PeerConnection, frame: PeerSignal, size: number): void {
    if (receiver.hasRoomFor(size)) sender.passToLibrary(frame);
    else sender.sendUnreachable(frame.dst);
  }

  /** Sends the first frames of a queue to the node of their peer, and then the others. Never fails. */
  private async sendBatch(queue: FrameQueue, place: RelayedPlace): Promise<void> {
    const { places, limits, recordRelayed } = this.deps;
    const { callId, peerId } = queue;
    clearTimeout(queue.timer);
    const count = batchLength(queue.frames);
    // What a peer sent before it closed its connection is delivered, as on a single node, unless it waited for its peer.
    const batch = queue.frames
      .slice(0, count)
      .filter(({ sender }) => !(queue.hasWaited ? sender.isEnded : sender.isRefused));
    queue.isSending = true;
    const delivery: Delivery = {
      callId,
      version: places.versionOf(callId),
      to: { peerId, connectionId: place.connectionId },
      frames: batch.map(({ sender, frame }) => ({ src: sender.peerId, text: JSON.stringify(frame) })),
    };
    const answer: DeliveryAnswer | undefined =
      batch.length === 0
        ? { outcome: 'processed', refused: [] }
        : await place.relay.send(place.nodeId, delivery, limits.absent.timeoutMs);
    if (this.isClosed) return;
    if (answer?.outcome === 'absent') {
      await this.refresh(callId);
      if (this.isClosed) return;
      queue.isSending = false;
      const hasMoved = places.find(callId, peerId)?.connectionId !== place.connectionId;
      if (hasMoved) this.flush(queue);
      else this.wait(queue, RETRY_MS);
      return;
    }
    queue.isSending = false;
    if (answer) {
      this.queues.take(queue, count);
      const refused = answer.refused.flatMap((index) => batch[index] ?? []);
      recordRelayed('delivered', batch.length - refused.length);
      recordRelayed('unreachable', refused.length);
      this.expire(refused);
    } else {
      // Redis cannot be reached, or the other node does not answer. A frame that has perhaps arrived is not sent again.
      recordRelayed('unreachable', batch.length);
      this.expire(this.queues.take(queue));
    }
    if (queue.frames.length > 0) this.flush(queue);
  }

  /** Delivers frames of another node. Never fails. */
  private async receive({ callId, version, to, frames }: Delivery): Promise<DeliveryAnswer> {
    const { places, limits, freshness } = this.deps;
    const opening = this.opening.get(to.connectionId);
    if (opening) await inTime(opening.settled, limits.absent.timeoutMs * OPENING_SHARE);
    try {
      await freshness.untilFresh();
    } catch {
      return { outcome: 'absent' };
    }
    // The sender may have come into the call by an event that has not arrived here.
    const isBehind = places.versionOf(callId) < version;
    if (isBehind && frames.some(({ src }) => !places.includes(callId, src))) await this.refresh(callId);
    const receiver = this.receiverOf(callId, to.peerId);
    if (receiver?.connectionId !== to.connectionId) return { outcome: 'absent' };
    const refused = frames.flatMap(({ src, text }, index) => {
      // Its node may have sent the frame before it learned that the sender was removed from the call.
      if (receiver.isEnded || !places.includes(callId, src)) return [index];
      const frame = readFrame(Buffer.from(text), limits.maxDepth);
      if (!('value' in frame) || frame.value.type === 'HEARTBEAT' || frame.value.dst !== to.peerId)
        return [index];
      if (!receiver.hasRoomFor(Buffer.byteLength(text) + src.length)) return [index];
      receiver.deliver(src, frame.value);
      return [];
    });
    return { outcome: 'processed', refused };
  }

  /** Reads the latest version of a call. If the database fails, events and further attempts follow. */
  private async refresh(callId: ObjectId): Promise<void> {
    await this.deps.refresh(callId).catch(() => undefined);
  }

  /** The connection of a peer of this call to this node. */
  private receiverOf(callId: ObjectId, peerId: string): PeerConnection | undefined {
    const receiver = this.registered.get(peerId);
    return receiver?.callId.equals(callId) ? receiver : undefined;
  }

  /** Where a peer of this call is connected, if that is another node, and how to send to it. */
  private placeElsewhere(callId: ObjectId, peerId: string): RelayedPlace | undefined {
    const { relay, nodeId, places } = this.deps;
    const place = places.find(callId, peerId);
    return relay && place && place.nodeId !== nodeId ? { ...place, relay } : undefined;
  }
}

/** The number of frames to send at once. */
function batchLength(frames: readonly QueuedFrame[]): number {
  let bytes = 0;
  const end = frames.findIndex(({ size }) => (bytes += size) > BATCH_BYTES);
  return end === -1 ? frames.length : Math.max(end, 1);
}
