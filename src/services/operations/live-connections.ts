import type { ObjectId } from 'mongodb';
import { AppError } from '../../utils/errors';

/** One open connection of a client. */
export interface LiveConnection {
  id: string;
  userId: ObjectId;
  sessionId: ObjectId;
  address: string;
  userAgent: string;
  since: Date;
}

/** Why the server ends a connection that its client would rather keep. */
export type EndedFor = 'too_slow' | 'too_many_events' | 'too_many_packets';

/** Who is connected to this process now. Whoever keeps the connections tells it. */
export class LiveConnections {
  private readonly byUser = new Map<string, Map<string, LiveConnection>>();
  /** How many connections of each user are on their way. */
  private readonly coming = new Map<string, number>();
  private readonly ended = new Map<EndedFor, number>();
  private count = 0;

  constructor(private readonly limitPerUser: number) {}

  get sockets(): number {
    return this.count;
  }

  get users(): number {
    return this.byUser.size;
  }

  /** How many connections the server has ended since it was started, by the reason. */
  get endedFor(): ReadonlyMap<EndedFor, number> {
    return this.ended;
  }

  /** The connections of a user, the oldest first. */
  of(userId: ObjectId | string): LiveConnection[] {
    return [...(this.byUser.get(userId.toString())?.values() ?? [])];
  }

  /** All connections by user: the ids of the users in the order in which they came. */
  all(): ReadonlyMap<string, ReadonlyMap<string, LiveConnection>> {
    return this.byUser;
  }

  /**
   * Keeps a place for a connection that is on its way.
   * @returns a function that gives the place back: when the connection is open, or has failed. Twice is as once.
   * @throws AppError too_many_connections
   */
  reserve(userId: ObjectId): () => void {
    const key = userId.toHexString();
    const coming = this.coming.get(key) ?? 0;
    if (coming + (this.byUser.get(key)?.size ?? 0) >= this.limitPerUser) {
      throw new AppError('too_many_connections', 'This user has too many open connections.');
    }
    this.coming.set(key, coming + 1);
    let kept = true;
    return () => {
      if (!kept) return;
      kept = false;
      const left = (this.coming.get(key) ?? 1) - 1;
      if (left > 0) this.coming.set(key, left);
      else this.coming.delete(key);
    };
  }

  opened(connection: LiveConnection): void {
    const key = connection.userId.toHexString();
    const own = this.byUser.get(key) ?? new Map<string, LiveConnection>();
    this.byUser.set(key, own.set(connection.id, connection));
    this.count++;
  }

  closed({ id, userId }: LiveConnection): void {
    const key = userId.toHexString();
    const own = this.byUser.get(key);
    if (!own?.delete(id)) return;
    if (own.size === 0) this.byUser.delete(key);
    this.count--;
  }

  noteEnd(reason: EndedFor): void {
    this.ended.set(reason, (this.ended.get(reason) ?? 0) + 1);
  }
}
