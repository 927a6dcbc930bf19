import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { PeerLimits } from '../config/peerjs.config';
import type { Context } from '../context';
import type { Caller } from '../models/identity/session.model';
import { AppError } from '../utils/errors';
import { FrameMeter } from './frame-meter';
import { PeerAuthentication } from './peer-authentication';
import type { AdmittedPeer } from './peer-connection';
import type { PeerSignalling } from './peer-signalling';
import { PeerWatch, type PeerWatches } from './peer-watch';
import { CountedCache } from '../utils/counted-cache';

/** Users whose sent frames are counted at a time. */
const MAX_METERED_USERS = 10_000;

/** A peer that has been admitted, before its WebSocket is open. */
export interface Admission {
  peer: AdmittedPeer;
  watch: PeerWatch;
  tokenExpiresAt: Date;
  /** Releases the place that is reserved among the connections of the user. */
  release: () => void;
  /** Ends the watch, and reports to the call that the connection has ended. Repeated calls have no effect. */
  dismiss: () => void;
}

/** Decides which peers may connect. */
export class PeerAdmissions {
  readonly authentication: PeerAuthentication;
  private readonly meters = new CountedCache<string, FrameMeter>({ max: MAX_METERED_USERS });
  private isClosing = false;

  constructor(
    private readonly services: Context['services'],
    private readonly limits: Pick<PeerLimits, 'userRate'>,
    private readonly watches: PeerWatches,
    private readonly signalling: Pick<PeerSignalling, 'isRegistered' | 'expect'>,
  ) {
    this.authentication = new PeerAuthentication(services);
  }

  /**
   * Admits a peer, and records its connection in its call. What happens meanwhile is recorded by its watch.
   * @throws AppError unauthenticated, validation_failed, ticket_invalid, ticket_expired, too_many_connections,
   *   session_revoked, token_expired, maintenance, unavailable, rate_limited, not_in_call, call_ended, not_found
   */
  async admit(request: IncomingMessage, address: string): Promise<Admission> {
    const { callConnections, peers } = this.services;
    const holder = this.authentication.readUpgrade(request);
    const { userId, callId, peerId } = holder;
    const connectionId = randomUUID();
    const watch = new PeerWatch(holder, connectionId);
    // An earlier connection of the same device, which the new one will replace, does not count.
    const release = peers.reserve(userId, this.signalling.isRegistered(holder) ? 1 : 0);
    const unwatch = this.watches.add(watch);
    const stopExpecting = this.signalling.expect(connectionId);
    const dismiss = (): void => {
      unwatch();
      stopExpecting();
      // A server that stops keeps people in their calls: their clients connect again within the time of grace.
      if (!this.isClosing) void callConnections.lost(connectionId);
    };
    try {
      const { caller, tokenExpiresAt } = await this.authentication.authenticate(holder, address);
      this.requireMayConnect(caller);
      await callConnections.attachPeer({ ...holder, connectionId });
      return { peer: { connectionId, peerId, callId, caller }, watch, tokenExpiresAt, release, dismiss };
    } catch (error) {
      release();
      dismiss();
      throw error;
    }
  }

  /** @throws AppError unavailable, maintenance, rate_limited */
  requireMayConnect(caller: Caller): void {
    if (this.isClosing) throw new AppError('unavailable', 'The server is closing. Connect again.');
    this.services.maintenance.admit(caller);
    const { waitMs } = this.meterOf(caller);
    if (waitMs > 0) throw new AppError('rate_limited', 'Too many frames.', undefined, waitMs / 1000);
  }

  /** The meter of the frames of all connections of a user. */
  meterOf({ userId }: Caller): FrameMeter {
    const meter = this.meters.get(userId.toHexString()) ?? new FrameMeter(this.limits.userRate);
    this.meters.set(userId.toHexString(), meter);
    return meter;
  }

  /** Refuses all peers from now on. */
  close(): void {
    this.isClosing = true;
  }
}
