import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { EventBus } from '../kernel/event-bus';
import type { LiveConnections } from '../operations/live-connections';

/** The number of sessions that one query looks up. */
const BATCH_SIZE = 1000;

/**
 * Checks regularly whether the sessions of open connections are still valid in the database, and ends the connections of
 * those that are not. It bounds the delay of a revocation on a node that did not receive the event, because Redis was
 * unavailable or the node that revoked the session died before it could publish it.
 */
export class SessionRecheck {
  constructor(
    private readonly collections: Collections,
    private readonly bus: EventBus,
    private readonly connections: readonly Pick<LiveConnections, 'all'>[],
  ) {}

  /** Checks all open connections. @param signal ends the check early. */
  async run(signal?: AbortSignal): Promise<void> {
    const owners = new Map<string, { sessionId: ObjectId; userId: ObjectId }>();
    for (const own of this.connections.flatMap((each) => [...each.all().values()])) {
      for (const { sessionId, userId } of own.values())
        owners.set(sessionId.toHexString(), { sessionId, userId });
    }
    const all = [...owners.values()];
    for (let start = 0; start < all.length && !signal?.aborted; start += BATCH_SIZE) {
      const batch = all.slice(start, start + BATCH_SIZE);
      const standing = await this.findValid(batch.map(({ sessionId }) => sessionId));
      for (const { sessionId, userId } of batch) {
        if (standing.has(sessionId.toHexString())) continue;
        await this.bus.deliver({ type: 'session.revoked', sessionId, userId, reason: 'revoked' });
      }
    }
  }

  private async findValid(ids: ObjectId[]): Promise<Set<string>> {
    const rows = await this.collections.sessions
      .find({ _id: { $in: ids }, revokedAt: null }, { projection: { _id: 1 } })
      .toArray();
    return new Set(rows.map(({ _id }) => _id.toHexString()));
  }
}
