import type { ObjectId } from 'mongodb';
import { AppError } from '../../utils/errors';
import { METRICS } from '../kernel/metrics';
import type { Counter, Telemetry } from '../kernel/telemetry';

/** One open connection of a client. */
export interface LiveConnection {
  id: string;
  userId: ObjectId;
  sessionId: ObjectId;
  address: string;
  userAgent: string;
  since: Date;
}

/** Why the server ended a connection that the client wanted to keep. */
export type DisconnectReason = 'too_slow' | 'too_many_events' | 'too_many_packets';

/** The protocol by which a client is connected. */
export type Protocol = 'socket.io' | 'peerjs';

/** Records the connections of one protocol to this process. The servers of the protocols report them. */
export class LiveConnections {
  private readonly byUser = new Map<string, Map<string, LiveConnection>>();
  /** The number of connections of each user that are being opened. */
  private readonly pending = new Map<string, number>();
  private readonly refused: Counter<'protocol' | 'code'>;
  private readonly ended: Counter<'protocol' | 'reason'>;
  private count = 0;
  private openedCount = 0;

  constructor(
    private readonly limitPerUser: number,
    private readonly protocol: Protocol,
    telemetry: Telemetry,
  ) {
    this.refused = telemetry.counter(METRICS.connectionsRefused);
    this.ended = telemetry.counter(METRICS.connectionsEnded);
    telemetry.counter(METRICS.connectionsOpened).observe({ protocol }, () => this.openedCount);
    telemetry.gauge(METRICS.connections).observe({ protocol }, () => this.sockets);
    telemetry.gauge(METRICS.connectedUsers).observe({ protocol }, () => this.users);
  }

  get sockets(): number {
    return this.count;
  }

  get users(): number {
    return this.byUser.size;
  }

  /** Returns the connections of a user, the oldest first. */
  connectionsOf(userId: ObjectId | string): LiveConnection[] {
    return [...(this.byUser.get(userId.toString())?.values() ?? [])];
  }

  /** Returns all connections by the id of the user, in the order in which the users connected. */
  all(): ReadonlyMap<string, ReadonlyMap<string, LiveConnection>> {
    return this.byUser;
  }

  /**
   * Reserves a place for a connection that is being opened.
   * @param replacing the number of open connections that the new one replaces.
   * @returns a function that releases the place when the connection is open or has failed. Repeated calls have no effect.
   * @throws AppError too_many_connections
   */
  reserve(userId: ObjectId, replacing = 0): () => void {
    const key = userId.toHexString();
    const pending = this.pending.get(key) ?? 0;
    if (pending + (this.byUser.get(key)?.size ?? 0) - replacing >= this.limitPerUser) {
      throw new AppError('too_many_connections', 'This user has too many open connections.');
    }
    this.pending.set(key, pending + 1);
    let reserved = true;
    return () => {
      if (!reserved) return;
      reserved = false;
      const left = (this.pending.get(key) ?? 1) - 1;
      if (left > 0) this.pending.set(key, left);
      else this.pending.delete(key);
    };
  }

  opened(connection: LiveConnection): void {
    const key = connection.userId.toHexString();
    const own = this.byUser.get(key) ?? new Map<string, LiveConnection>();
    this.byUser.set(key, own.set(connection.id, connection));
    this.count++;
    this.openedCount++;
  }

  closed({ id, userId }: LiveConnection): void {
    const key = userId.toHexString();
    const own = this.byUser.get(key);
    if (!own?.delete(id)) return;
    if (own.size === 0) this.byUser.delete(key);
    this.count--;
  }

  /** Counts a connection that the server has ended. */
  recordEnd(reason: DisconnectReason): void {
    this.ended.add({ protocol: this.protocol, reason });
  }

  /** Counts a connection that was refused. @param code of the error that the client receives, or why its rights ended. */
  recordRefusal(code: string): void {
    this.refused.add({ protocol: this.protocol, code });
  }
}
