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

/** Profiles: one's own and what one sees of others. */
export class UserService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly bus: EventBus,
  ) {}

  /** A user, or what is left of one who was deleted. @throws AppError not_found */
  async requireUser(userId: string): Promise<UserDocument> {
    const user = await this.collections.users.findOne({ _id: new ObjectId(userId) });
    if (!user) throw userNotFound();
    return user;
  }

  /** A user with whom something can be done. @throws AppError not_found, also of a deleted one */
  async requireUndeleted(userId: string): Promise<UserDocument> {
    const user = await this.requireUser(userId);
    if (user.state === 'deleted') throw userNotFound();
    return user;
  }

  /** A user whom others can find. @throws AppError not_found, also of a deleted or deactivated one */
  async requireFindable(userId: string): Promise<UserDocument> {
    const user = await this.requireUndeleted(userId);
    if (user.state === 'deactivated') throw userNotFound();
    return user;
  }

  /** As `requireUndeleted`, and keeps the account as it is until the end of the caller's transaction. */
  async lockUndeleted(userId: string): Promise<UserDocument> {
    const user = await lock(this.collections.users, { _id: new ObjectId(userId) });
    if (!user || user.state === 'deleted') throw userNotFound();
    return user;
  }

  /** @throws AppError session_revoked when the account is gone */
  async me(caller: Caller): Promise<User> {
    const user = await this.collections.users.findOne({ _id: caller.userId });
    if (!user) throw accountDeleted();
    return toUser(user);
  }

  /** A user as others see them. @throws AppError not_found */
  async get(userId: string): Promise<PublicUser> {
    return toPublicUser(await this.requireUser(userId));
  }

  /** The users with these ids, by id in hexadecimal digits. Unknown ids are left out. */
  async findByIds(ids: ObjectId[]): Promise<Map<string, UserDocument>> {
    if (ids.length === 0) return new Map();
    const users = await this.collections.users.find({ _id: { $in: ids } }).toArray();
    return new Map(users.map((user) => [user._id.toHexString(), user]));
  }

  /** Users whose username begins like this, without regard to case, in the order of their names. */
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

  /** @throws AppError session_revoked when the account is gone, display_name_taken */
  async updateProfile(caller: Caller, input: UpdateProfileInput): Promise<User> {
    const fields = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
    if (input.displayName !== undefined) {
      // Whoever has a name keeps it: an old one may look like that of somebody else.
      const before = await this.collections.users.findOne({ _id: caller.userId });
      if (before?.displayName !== input.displayName) {
        await refuseImitation(this.collections, input.displayName, caller.userId);
      }
      Object.assign(fields, displayNameKeysOf(input.displayName));
    }
    const user = await this.collections.users.findOneAndUpdate(
      // A deleted account gets no new personal data from a call that was under way.
      { _id: caller.userId, state: { $ne: 'deleted' } },
      { $set: { ...fields, updatedAt: new Date() } },
      { returnDocument: 'after' },
    );
    if (!user) throw accountDeleted();
    return toUser(user);
  }

  /** Blocks a user; a second time changes nothing. @throws AppError not_found, bad_request (oneself) */
  async block(caller: Caller, userId: string): Promise<void> {
    const user = await this.requireUndeleted(userId);
    if (user._id.equals(caller.userId)) throw new AppError('bad_request', 'Nobody blocks themselves.');
    await this.transactions.run(async () => {
      // Whoever takes the caller into a group at this moment locks the account as well: one of the two begins anew.
      await lock(this.collections.users, { _id: caller.userId });
      await this.collections.blocks.updateOne(
        { userId: caller.userId, blockedId: user._id },
        { $setOnInsert: { createdAt: new Date() } },
        { upsert: true },
      );
      await this.bus.publish({ type: 'block.changed', userId: caller.userId, blockedId: user._id });
    });
  }

  async unblock({ userId }: Caller, otherId: string): Promise<void> {
    const blockedId = new ObjectId(otherId);
    await this.collections.blocks.deleteOne({ userId, blockedId });
    await this.bus.publish({ type: 'block.changed', userId, blockedId });
  }

  /** Whom the caller has blocked, in the order in which they did. */
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
