import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { SessionDocument } from '../../models/identity/session.model';
import type { GlobalRole } from '../../models/user.model';
import { RevocableCache } from '../../utils/revocable-cache';
import type { EventBus } from '../kernel/event-bus';

/** Sessions and users whose state is kept in memory. */
const MAX_ENTRIES = 50_000;

/**
 * What every call asks for, kept in memory: whether a session stands, and what its user may do. Whoever changes
 * either says so by an event, and no answer from before that is given after it.
 */
export class SessionCache {
  private readonly sessions: RevocableCache<SessionDocument>;
  private readonly roles: RevocableCache<{ role: GlobalRole }>;

  /** @param maxAgeMs milliseconds after which the database is asked again; undefined: never. */
  constructor(
    private readonly collections: Collections,
    bus: EventBus,
    maxAgeMs: number | undefined,
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

  /** A session that stands and has not run out. */
  async findSession(_id: ObjectId): Promise<SessionDocument | undefined> {
    const known = await this.loadSession(_id);
    if (!known || known.expiresAt > new Date()) return known;
    // Another node may have moved its end.
    this.invalidate(_id);
    const stored = await this.loadSession(_id);
    return stored && stored.expiresAt > new Date() ? stored : undefined;
  }

  /** The role of a user whose account is active. */
  async findRole(_id: ObjectId): Promise<GlobalRole | undefined> {
    const found = await this.roles.get(_id.toHexString(), async () => {
      const user = await this.collections.users.findOne({ _id }, { projection: { role: 1, state: 1 } });
      return user?.state === 'active' ? { role: user.role } : undefined;
    });
    return found?.role;
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
