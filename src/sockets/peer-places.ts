import { ObjectId } from 'mongodb';
import type { VideoCallDocument } from '../models/video-call.model';

/** The connection of a peer, and the node that holds it. */
export interface PeerPlace {
  connectionId: string;
  nodeId: string;
}

interface KnownCall {
  holders: number;
  version: number;
  /** The peer ids of those who are in the call; null for a peer that is not connected. */
  peers: Map<string, PeerPlace | null>;
}

/**
 * Knows which peers are in the calls of this node's peers, and where they are connected. It follows the documents of
 * the calls: every node receives each version (`call.changed`), and a peer is recorded in its call before it may send.
 */
export class PeerPlaces {
  private readonly calls = new Map<string, KnownCall>();

  /** The calls that are held. */
  get callIds(): ObjectId[] {
    return [...this.calls.keys()].map((id) => new ObjectId(id));
  }

  /** Follows a call from now on. @returns a function that ends this; call it once. */
  hold(callId: ObjectId): () => void {
    const key = callId.toHexString();
    const call = this.calls.get(key) ?? { holders: 0, version: 0, peers: new Map() };
    this.calls.set(key, call);
    call.holders++;
    return () => {
      if (--call.holders === 0) this.calls.delete(key);
    };
  }

  /** Records a version of a call. They may arrive in any order. @returns the peer ids in it, if it is the latest one. */
  record({ _id, version, participants }: VideoCallDocument): string[] {
    const call = this.calls.get(_id.toHexString());
    if (!call || version <= call.version) return [];
    call.version = version;
    call.peers = new Map(
      participants.flatMap(({ state, place, connection }) => {
        if (state !== 'joined' || !place) return [];
        const { kind, id: connectionId, nodeId } = connection ?? {};
        return [[place.peerId, kind === 'peer' && connectionId && nodeId ? { connectionId, nodeId } : null]];
      }),
    );
    return [...call.peers.keys()];
  }

  /** The latest known version of a call; 0 if none is known. */
  versionOf(callId: ObjectId): number {
    return this.calls.get(callId.toHexString())?.version ?? 0;
  }

  /** Whether a participant of a call has this peer id. */
  includes(callId: ObjectId, peerId: string): boolean {
    return this.calls.get(callId.toHexString())?.peers.has(peerId) ?? false;
  }

  /** Where a peer of a call is connected; undefined if it is not. */
  find(callId: ObjectId, peerId: string): PeerPlace | undefined {
    return this.calls.get(callId.toHexString())?.peers.get(peerId) ?? undefined;
  }
}
