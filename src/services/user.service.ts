import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { lock, type Transactions } from '../db/transaction';
import type { Caller } from '../models/identity/session.model';
import {
  toPublicUser,
  toUser,
  type PublicUser,
  type UpdateProfileInput,
  type User,
  type UserDocument,
  type UserSearchQuery,
} from '../models/user.model';
import type { PageQuery } from '../models/kernel/common.model';
import { cutPage, type Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import { canonicalName, displayNameKeysOf } from '../utils/name-keys';
import { endOfPrefix } from '../utils/prefix';
import { refuseImitation } from './users/display-names';
import type { EventBus } from './kernel/event-bus';

/** Reads, searches and changes the profiles of users, and manages blocks. */
export class UserService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly bus: EventBus,
  ) {}

  /** Finds a user, including deleted ones. @throws AppError not_found */
  async requireUser(userId: string): Promise<UserDocument> {
    const user = await this.collections.users.findOne({ _id: new ObjectId(userId) });
    if (!user) throw userNotFound();
    return user;
  }

  /** Finds a user who has not been deleted. @throws AppError not_found */
  async requireUndeleted(userId: string): Promise<UserDocument> {
    const user = await this.requireUser(userId);
    if (user.state === 'deleted') throw userNotFound();
    return user;
  }

  /** Finds a user whom others may find: neither deleted nor deactivated. @throws AppError not_found */
  async requireFindable(userId: string): Promise<UserDocument> {
    const user = await this.requireUndeleted(userId);
    if (user.state === 'deactivated') throw userNotFound();
    return user;
  }

  /** As `requireUndeleted`, and locks the account until the end of the caller's transaction. */
  async lockUndeleted(userId: string): Promise<UserDocument> {
    const user = await lock(this.collections.users, { _id: new ObjectId(userId) });
    if (!user || user.state === 'deleted') throw userNotFound();
    return user;
  }

  /** Returns the caller's own profile. @throws AppError session_revoked when the account no longer exists */
  async me(caller: Caller): Promise<User> {
    const user = await this.collections.users.findOne({ _id: caller.userId });
    if (!user) throw accountDeleted();
    return toUser(user);
  }

  /** Returns the public profile of a user. @throws AppError not_found */
  async get(userId: string): Promise<PublicUser> {
    return toPublicUser(await this.requireUser(userId));
  }

  /** Finds users, by id in hexadecimal digits. Unknown ids are left out. */
  async findByIds(ids: ObjectId[]): Promise<Map<string, UserDocument>> {
    if (ids.length === 0) return new Map();
    const users = await this.collections.users.find({ _id: { $in: ids } }).toArray();
    return new Map(users.map((user) => [user._id.toHexString(), user]));
  }

  /** Finds users whose username begins with the query, ignoring case, in the order of their names. */
  async search(query: UserSearchQuery): Promise<Page<PublicUser>> {
    const prefix = canonicalName(query.query);
    if (prefix === '') return { items: [], nextCursor: null };
    const { cursor } = query;
    const from = cursor !== undefined && cursor >= prefix ? { $gt: cursor } : { $gte: prefix };
    const rows = await this.collections.users
      .find({
        searchName: { ...from, $lt: endOfPrefix(prefix) },
        state: { $in: ['active', 'suspended'] },
      })
      .sort({ searchName: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last.searchName ?? '');
    return { items: page.items.map(toPublicUser), nextCursor: page.nextCursor };
  }

  /** Changes the caller's profile. @throws AppError session_revoked when the account no longer exists, display_name_taken */
  async updateProfile(caller: Caller, input: UpdateProfileInput): Promise<User> {
    const fields = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
    if (input.displayName !== undefined) {
      // An unchanged name is not checked: an older name may look like that of another user.
      const before = await this.collections.users.findOne({ _id: caller.userId });
      if (before?.displayName !== input.displayName) {
        await refuseImitation(this.collections, input.displayName, caller.userId);
      }
      Object.assign(fields, displayNameKeysOf(input.displayName));
    }
    const user = await this.collections.users.findOneAndUpdate(
      // A call that was running when the account was deleted must not store personal data.
      { _id: caller.userId, state: { $ne: 'deleted' } },
      { $set: { ...fields, updatedAt: new Date() } },
      { returnDocument: 'after' },
    );
    if (!user) throw accountDeleted();
    return toUser(user);
  }

  /** Blocks a user; repeating it changes nothing. @throws AppError not_found, bad_request (oneself) */
  async block(caller: Caller, userId: string): Promise<void> {
    const user = await this.requireUndeleted(userId);
    if (user._id.equals(caller.userId)) throw new AppError('bad_request', 'You cannot block yourself.');
    await this.transactions.run(async () => {
      // A transaction that adds the caller to a group locks the account as well, so that the two conflict.
      await lock(this.collections.users, { _id: caller.userId });
      await this.collections.blocks.updateOne(
        { userId: caller.userId, blockedId: user._id },
        { $setOnInsert: { createdAt: new Date() } },
        { upsert: true },
      );
      await this.bus.publish({ type: 'block.changed', userId: caller.userId, blockedId: user._id });
    });
  }

  /** Ends a block, if there is one. */
  async unblock({ userId }: Caller, otherId: string): Promise<void> {
    const blockedId = new ObjectId(otherId);
    await this.collections.blocks.deleteOne({ userId, blockedId });
    await this.bus.publish({ type: 'block.changed', userId, blockedId });
  }

  /** Lists the users whom the caller has blocked, in the order in which they were blocked. */
  async listBlocked(caller: Caller, query: PageQuery): Promise<Page<PublicUser>> {
    const rows = await this.collections.blocks
      .find({ userId: caller.userId, ...(query.cursor && { _id: { $gt: new ObjectId(query.cursor) } }) })
      .sort({ _id: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    const users = await this.findByIds(page.items.map(({ blockedId }) => blockedId));
    const items = page.items.flatMap(({ blockedId }) => users.get(blockedId.toHexString()) ?? []);
    return { items: items.map(toPublicUser), nextCursor: page.nextCursor };
  }
}

function accountDeleted(): AppError {
  return new AppError('session_revoked', 'The account no longer exists.');
}

function userNotFound(): AppError {
  return new AppError('not_found', 'There is no such user.');
}
