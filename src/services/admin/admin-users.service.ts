import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import {
  toAdminUser,
  type AdminUser,
  type AdminUsersQuery,
  type SessionSummary,
} from '../../models/admin/admin-user.model';
import { encodePrefixCursor } from '../../models/kernel/prefix-cursor.model';
import type { Caller } from '../../models/identity/session.model';
import type { UserDocument } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { canonicalName, emailKey, searchKey } from '../../utils/name-keys';
import type { Access } from '../access/access';
import type { EventBus } from '../kernel/event-bus';
import { pageByPrefix } from './prefix-pages';

/** Accounts as super admins see them. */
export class AdminUserService {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /**
   * Users by state and role: the newest first, or those of whom a field begins with a text, sorted by that field.
   * @throws AppError forbidden
   */
  async list(caller: Caller, query: AdminUsersQuery): Promise<Page<AdminUser>> {
    this.access.requireSuperAdmin(caller);
    await this.endSuspensions();
    const { items, nextCursor } = await this.find(query);
    const sessions = await this.sessionsOf(items);
    return {
      items: items.map((user) => toAdminUser(user, sessions.get(user._id.toHexString()) ?? NO_SESSIONS)),
      nextCursor,
    };
  }

  /** A user; of a deleted one, the data that remains. @throws AppError forbidden, not_found */
  async get(caller: Caller, userId: string): Promise<AdminUser> {
    this.access.requireSuperAdmin(caller);
    const user = await this.collections.users.findOne({ _id: new ObjectId(userId) });
    if (!user) throw new AppError('not_found', 'There is no such user.');
    return this.show(user);
  }

  /** Converts a user document that has just been read. */
  async show(user: UserDocument): Promise<AdminUser> {
    const sessions = await this.sessionsOf([user]);
    return toAdminUser(user, sessions.get(user._id.toHexString()) ?? NO_SESSIONS);
  }

  private async find({
    state,
    role,
    query,
    field,
    cursor,
    limit,
  }: AdminUsersQuery): Promise<Page<UserDocument>> {
    const conditions: Filter<UserDocument> = { ...(state && { state }), ...(role && { role }) };
    if (query !== undefined) {
      const { key, keyOf, unique } = SEARCH_FIELDS[field];
      const page = { prefix: keyOf(query), cursor, limit };
      return pageByPrefix(this.collections.users, key, page, { unique, conditions });
    }
    const rows = await this.collections.users
      .find({ ...conditions, ...(cursor && { _id: { $lt: cursor._id } }) })
      .sort({ _id: -1 })
      .limit(limit + 1)
      .toArray();
    return cutPage(rows, limit, ({ _id }) => encodePrefixCursor({ value: '', _id }));
  }

  /** Stores the end of expired suspensions, so that a list by state is correct. */
  private async endSuspensions(): Promise<void> {
    const expired: Filter<UserDocument> = { 'suspension.until': { $lte: new Date() } };
    const { users } = this.collections;
    for (const { _id } of await users.find(expired, { projection: { _id: 1 } }).toArray()) {
      await users.updateOne(
        { ...expired, _id, state: 'suspended' },
        { $set: { state: 'active', suspension: null, updatedAt: new Date() } },
      );
      await this.bus.publish({ type: 'user.changed', userId: _id });
    }
  }

  /** @returns summaries by user id in hexadecimal digits; without users who have no session. */
  private async sessionsOf(users: readonly UserDocument[]): Promise<Map<string, SessionSummary>> {
    if (users.length === 0) return new Map();
    const isOpen = {
      $and: [{ $eq: ['$revokedAt', null] }, { $gt: ['$expiresAt', new Date()] }],
    };
    const rows = await this.collections.sessions
      .aggregate<{ _id: ObjectId } & SessionSummary>([
        { $match: { userId: { $in: users.map(({ _id }) => _id) } } },
        {
          $group: {
            _id: '$userId',
            open: { $sum: { $cond: [isOpen, 1, 0] } },
            lastSeenAt: { $max: '$lastSeenAt' },
          },
        },
      ])
      .toArray();
    return new Map(rows.map(({ _id, open, lastSeenAt }) => [_id.toHexString(), { open, lastSeenAt }]));
  }
}

/** For each searchable field: the field that holds its key, and the function that computes the key of a query. */
const SEARCH_FIELDS = {
  username: { key: 'searchName', keyOf: canonicalName, unique: true },
  email: { key: 'emailKey', keyOf: emailKey, unique: true },
  displayName: { key: 'displaySearch', keyOf: searchKey, unique: false },
} as const;

const NO_SESSIONS: SessionSummary = { open: 0, lastSeenAt: null };
