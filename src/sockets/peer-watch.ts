import type { ObjectId } from 'mongodb';
import type { Context } from '../context';
import type { VideoCallDocument } from '../models/video-call.model';
import type { TicketHolder } from '../services/calls/call-tickets';
import type { DomainEvent } from '../services/kernel/domain-events';
import { AppError, toPublicError, type PublicError } from '../utils/errors';
import type { PeerEnd } from './peer-connection';
import type { PeerPlaces } from './peer-places';

/** Why a peer may not be connected any more. */
export interface PeerRefusal {
  reason: PeerEnd;
  /** Missing for a peer whose id another connection has taken over, which has a frame of its own. */
  error?: PublicError;
}

/** Records whether a peer may be connected, from the moment its ticket is verified to the end of its connection. */
export class PeerWatch {
  private session: PeerRefusal | undefined;
  private call: { version: number; refusal: PeerRefusal | undefined } = { version: 0, refusal: undefined };

  constructor(
    readonly holder: TicketHolder,
    /** The id of the connection, by which the participant of the call refers to it. */
    readonly connectionId: string,
  ) {}

  /** Undefined while the peer may be connected. */
  get refusal(): PeerRefusal | undefined {
    return this.session ?? this.call.refusal;
  }

  recordSessionEnd(error: PublicError): void {
    this.session ??= { reason: 'session_ended', error };
  }

  /** Records a version of the call. They may arrive in any order: the latest one decides. */
  recordCall(call: VideoCallDocument): void {
    if (call.version > this.call.version) {
      this.call = { version: call.version, refusal: this.refusalBy(call) };
    }
  }

  private refusalBy(call: VideoCallDocument): PeerRefusal | undefined {
    const { userId, sessionId, peerId } = this.holder;
    if (call.state === 'ended') {
      return { reason: 'call_ended', error: { code: 'call_ended', message: 'The call has ended.' } };
    }
    const own = call.participants.find((one) => one.userId.equals(userId));
    const isHere =
      own?.state === 'joined' && own.place?.peerId === peerId && own.place.sessionId.equals(sessionId);
    if (!isHere) {
      const message = 'This device is not in the call any more.';
      return { reason: 'not_in_call', error: { code: 'not_in_call', message } };
    }
    // Another connection of the same peer, possibly on another node, has been attached after this one.
    const { connection } = own;
    return connection?.kind === 'peer' && connection.id !== this.connectionId
      ? { reason: 'taken_over' }
      : undefined;
  }
}

/**
 * Follows the events that end peers. It includes those that are being admitted, which takes several reads of the
 * database: what happens meanwhile is not lost.
 */
export class PeerWatches {
  /** By the ids of the user, the session and the call. */
  private readonly byOwner = new Map<string, Set<PeerWatch>>();

  constructor(
    private readonly services: Pick<Context['services'], 'sessions' | 'callConnections'>,
    /** Records each version of the calls of the peers. */
    private readonly places: PeerPlaces,
    private readonly on: {
      /** Called for each peer that may not be connected after an event. */
      refused: (connectionId: string, refusal: PeerRefusal) => void;
      /** Called with the peer ids in a call when a newer version of it is known. */
      placed: (callId: ObjectId, peerIds: readonly string[]) => void;
    },
  ) {}

  /** @returns a function that removes it. Repeated calls have no effect. */
  add(watch: PeerWatch): () => void {
    const { userId, sessionId, callId } = watch.holder;
    const owners = [userId, sessionId, callId].map((id) => id.toHexString());
    for (const owner of owners) {
      const watches = this.byOwner.get(owner) ?? new Set();
      this.byOwner.set(owner, watches.add(watch));
    }
    const release = this.places.hold(callId);
    let isRemoved = false;
    return () => {
      if (isRemoved) return;
      isRemoved = true;
      release();
      for (const owner of owners) {
        const watches = this.byOwner.get(owner);
        if (watches?.delete(watch) && watches.size === 0) this.byOwner.delete(owner);
      }
    };
  }

  /** @returns a promise only for events that it has to look into. */
  handle(event: DomainEvent): Promise<void> | undefined {
    switch (event.type) {
      case 'session.revoked': {
        const message = `The session has ended: ${event.reason}.`;
        for (const watch of this.watchesOf(event.sessionId)) {
          watch.recordSessionEnd({ code: 'session_revoked', message });
          this.check(watch);
        }
        return undefined;
      }
      case 'call.changed':
        this.recordCall(event.call);
        return undefined;
      case 'user.changed':
        return this.recheckUser(event.userId);
      case 'events.missed':
        return this.recheckCalls(this.places.callIds);
      default:
        return undefined;
    }
  }

  /** Reads some calls from the database, because events of theirs may not have arrived. */
  async recheckCalls(callIds: ObjectId[]): Promise<void> {
    if (callIds.length === 0) return;
    for (const call of await this.services.callConnections.callsOf(callIds)) this.recordCall(call);
  }

  private recordCall(call: VideoCallDocument): void {
    const peerIds = this.places.record(call);
    for (const watch of this.watchesOf(call._id)) {
      watch.recordCall(call);
      this.check(watch);
    }
    this.on.placed(call._id, peerIds);
  }

  /** Ends the peers of a user whose account is not active any more. */
  private async recheckUser(userId: ObjectId): Promise<void> {
    for (const watch of this.watchesOf(userId)) {
      try {
        await this.services.sessions.reauthenticate({ ...watch.holder, address: '' });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        watch.recordSessionEnd(toPublicError(error));
        this.check(watch);
      }
    }
  }

  /** A copy, since a peer that ends is removed. */
  private watchesOf(owner: ObjectId): PeerWatch[] {
    return [...(this.byOwner.get(owner.toHexString()) ?? [])];
  }

  private check({ connectionId, refusal }: PeerWatch): void {
    if (refusal) this.on.refused(connectionId, refusal);
  }
}
