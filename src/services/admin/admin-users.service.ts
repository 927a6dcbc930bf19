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

/** What administrators see of accounts. */
export class AdminUserService {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /**
   * Users by state and role: the newest first, or those of whom a field begins with a text in the order of it.
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

  /** A user, or what is left of one who was deleted. @throws AppError forbidden, not_found */
  async get(caller: Caller, userId: string): Promise<AdminUser> {
    this.access.requireSuperAdmin(caller);
    const user = await this.collections.users.findOne({ _id: new ObjectId(userId) });
    if (!user) throw new AppError('not_found', 'There is no such user.');
    return this.show(user);
  }

  /** A user as they were just read. */
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
    const more: Filter<UserDocument> = { ...(state && { state }), ...(role && { role }) };
    if (query !== undefined) {
      const { key, keyOf, unique } = SEARCHED[field];
      const page = { prefix: keyOf(query), cursor, limit };
      return pageByPrefix(this.collections.users, key, page, { unique, more });
    }
    const rows = await this.collections.users
      .find({ ...more, ...(cursor && { _id: { $lt: cursor._id } }) })
      .sort({ _id: -1 })
      .limit(limit + 1)
      .toArray();
    return cutPage(rows, limit, ({ _id }) => encodePrefixCursor({ value: '', _id }));
  }

  /** Writes down that suspensions have ended, so that a list by state is one of the states as they are. */
  private async endSuspensions(): Promise<void> {
    const over: Filter<UserDocument> = { 'suspension.until': { $lte: new Date() } };
    const { users } = this.collections;
    for (const { _id } of await users.find(over, { projection: { _id: 1 } }).toArray()) {
      await users.updateOne(
        { ...over, _id, state: 'suspended' },
        { $set: { state: 'active', suspension: null, updatedAt: new Date() } },
      );
      await this.bus.publish({ type: 'user.changed', userId: _id });
    }
  }

  /** By the user's id in hexadecimal digits; users without a session are missing. */
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

/** Where the keys of the fields are that are searched, and how those of a query are made. */
const SEARCHED = {
  username: { key: 'searchName', keyOf: canonicalName, unique: true },
  email: { key: 'emailKey', keyOf: emailKey, unique: true },
  displayName: { key: 'displaySearch', keyOf: searchKey, unique: false },
} as const;

const NO_SESSIONS: SessionSummary = { open: 0, lastSeenAt: null };
