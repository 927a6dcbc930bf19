import type { ObjectId } from 'mongodb';
import type { Transactions } from '../../db/transaction';
import type { Caller } from '../../models/identity/session.model';
import type { CallConnectionRecord, VideoCallDocument } from '../../models/video-call.model';
import type { Logger } from '../../utils/logger';
import { AppError } from '../../utils/errors';
import type { LiveConnections } from '../operations/live-connections';
import { participantOf } from './call-changes';
import type { CallStore } from './call-store';

/** A participant of a call. */
interface Held {
  callId: ObjectId;
  userId: ObjectId;
}

/** The peer of a participant that connects. */
export interface AttachingPeer extends Held {
  sessionId: ObjectId;
  peerId: string;
  connectionId: string;
}

/** The dependencies of CallConnections. */
export interface CallConnectionsDeps {
  store: CallStore;
  transactions: Transactions;
  /** The sockets of this node. */
  sockets: Pick<LiveConnections, 'connectionsOf'>;
  nodeId: string;
  logger: Logger;
}

/**
 * Knows which connections of this node keep participants in their calls, and reports to the state machine when one is
 * lost. What it could not report, for example because the database failed, `releaseLost` reports later.
 */
export class CallConnections {
  /** The participants that connections of this node keep in their calls, by the id of the connection. */
  private readonly held = new Map<string, Held>();
  private readonly reports = new Set<Promise<void>>();

  constructor(private readonly deps: CallConnectionsDeps) {}

  /**
   * Returns the socket by which a caller enters a call: the given one, or else the newest one of their session.
   * @returns null if there is none, so that their peer must connect within the time of grace.
   */
  socketOf({ userId, sessionId }: Caller, socketId: string | undefined): CallConnectionRecord | null {
    const own = this.deps.sockets.connectionsOf(userId).filter((one) => one.sessionId.equals(sessionId));
    const id = socketId ?? own.at(-1)?.id;
    return id === undefined ? null : { kind: 'socket', id, nodeId: this.deps.nodeId };
  }

  /** Watches the socket by which a user has entered a call, from the commit of the caller's transaction on. */
  watch(call: VideoCallDocument, userId: ObjectId): Promise<void> {
    const { connection } = participantOf(call, userId) ?? {};
    return this.deps.transactions.afterCommit(async () => {
      if (connection?.kind !== 'socket' || connection.nodeId !== this.deps.nodeId) return;
      this.held.set(connection.id, { callId: call._id, userId });
      if (!this.isOpen(userId, connection)) await this.lost(connection.id);
    });
  }

  /**
   * Keeps a participant in their call by the PeerJS connection that is being opened. Whoever calls this calls `lost` at
   * the end of the connection.
   * @throws AppError not_found, not_in_call, call_ended unless the user is in the call with this session and peer id
   */
  async attachPeer({ callId, userId, sessionId, peerId, connectionId }: AttachingPeer): Promise<void> {
    this.held.set(connectionId, { callId, userId });
    try {
      await this.deps.store.apply(callId, {
        type: 'attach',
        userId,
        sessionId,
        peerId,
        connection: { kind: 'peer', id: connectionId, nodeId: this.deps.nodeId },
      });
    } catch (error) {
      this.held.delete(connectionId);
      throw error;
    }
    // It was lost before it was stored, when there was nothing to report.
    if (!this.held.has(connectionId)) await this.report({ callId, userId }, connectionId);
  }

  /** Returns the stored calls of some peers. One query. */
  callsOf(callIds: ObjectId[]): Promise<VideoCallDocument[]> {
    return this.deps.store.getAll(callIds);
  }

  /** Reports that a connection of this node is lost, if it keeps a participant in a call. Never fails. */
  lost(connectionId: string): Promise<void> {
    const held = this.held.get(connectionId);
    if (!held) return Promise.resolve();
    this.held.delete(connectionId);
    return this.report(held, connectionId);
  }

  /** Reports the connections by which the call is kept on this node, although they are lost. */
  async releaseLost({ _id, participants }: VideoCallDocument): Promise<void> {
    for (const { userId, connection } of participants) {
      if (connection?.nodeId !== this.deps.nodeId || this.isOpen(userId, connection)) continue;
      await this.detach({ callId: _id, userId }, connection.id);
    }
  }

  /** Resolves when all reports have been written. */
  async stop(): Promise<void> {
    await Promise.all(this.reports);
  }

  /** Whether a connection of this node is open. A socket that has just entered a call is open before it is held. */
  private isOpen(userId: ObjectId, { kind, id }: CallConnectionRecord): boolean {
    if (kind === 'peer') return this.held.has(id);
    return this.deps.sockets.connectionsOf(userId).some((one) => one.id === id);
  }

  /** Reports a lost connection. Never fails. */
  private report(held: Held, connectionId: string): Promise<void> {
    const report = this.detach(held, connectionId).catch((error: unknown) => {
      // The call was deleted in the meantime.
      if (error instanceof AppError) return;
      this.deps.logger.error({ err: error, callId: held.callId.toHexString() }, 'a call was not updated');
    });
    this.reports.add(report);
    return report.finally(() => this.reports.delete(report));
  }

  private async detach({ callId, userId }: Held, connectionId: string): Promise<void> {
    await this.deps.store.apply(callId, { type: 'detach', userId, connectionId });
  }
}
