import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { SessionDocument } from '../../models/identity/session.model';
import type { GlobalRole } from '../../models/user.model';
import { RevocableCache } from '../../utils/revocable-cache';
import type { EventBus } from '../kernel/event-bus';
import type { Freshness } from '../kernel/freshness';

/** The most sessions, and the most users, that are cached. */
const MAX_ENTRIES = 50_000;

/**
 * Caches what every call needs: whether a session is valid, and the role of its user. Each change of either publishes an
 * event, after which the cache never returns an older value.
 */
export class SessionCache {
  readonly sessions: RevocableCache<SessionDocument>;
  readonly roles: RevocableCache<{ role: GlobalRole }>;

  /** @param maxAgeMs milliseconds after which an entry is read again from the database; undefined means never. */
  constructor(
    private readonly collections: Collections,
    bus: EventBus,
    maxAgeMs: number | undefined,
    private readonly freshness: Pick<Freshness, 'isFresh'>,
  ) {
    this.sessions = new RevocableCache(MAX_ENTRIES, maxAgeMs);
    this.roles = new RevocableCache(MAX_ENTRIES, maxAgeMs);
    bus.subscribe((event) => {
      if (event.type === 'session.revoked') this.invalidate(event.sessionId);
      if (event.type === 'user.changed') this.roles.delete(event.userId.toHexString());
      if (event.type === 'events.missed') {
        this.sessions.clear();
        this.roles.clear();
      }
    });
  }

  /** Returns a session that has neither been revoked nor expired. */
  async findSession(_id: ObjectId): Promise<SessionDocument | undefined> {
    if (!this.freshness.isFresh) this.invalidate(_id);
    const known = await this.loadSession(_id);
    if (!known || known.expiresAt > new Date()) return known;
    // Another node may have extended the session.
    this.invalidate(_id);
    const stored = await this.loadSession(_id);
    return stored && stored.expiresAt > new Date() ? stored : undefined;
  }

  /** Returns the role of a user; undefined unless the account is active. */
  async findRole(_id: ObjectId): Promise<GlobalRole | undefined> {
    if (!this.freshness.isFresh) this.roles.delete(_id.toHexString());
    const found = await this.roles.get(_id.toHexString(), async () => {
      const user = await this.collections.users.findOne({ _id }, { projection: { role: 1, state: 1 } });
      return user?.state === 'active' ? { role: user.role } : undefined;
    });
    return found?.role;
  }

  /** Returns a session as `findSession` does, if it is in memory. */
  recallSession(_id: ObjectId): SessionDocument | undefined {
    if (!this.freshness.isFresh) return undefined;
    const known = this.sessions.peek(_id.toHexString());
    return known && known.expiresAt.getTime() > Date.now() ? known : undefined;
  }

  /** Returns the role of a user as `findRole` does, if it is in memory. */
  recallRole(_id: ObjectId): GlobalRole | undefined {
    if (!this.freshness.isFresh) return undefined;
    return this.roles.peek(_id.toHexString())?.role;
  }

  invalidate(sessionId: ObjectId): void {
    this.sessions.delete(sessionId.toHexString());
  }

  private loadSession(_id: ObjectId): Promise<SessionDocument | undefined> {
    return this.sessions.get(_id.toHexString(), async () => {
      return (await this.collections.sessions.findOne({ _id, revokedAt: null })) ?? undefined;
    });
  }
}
