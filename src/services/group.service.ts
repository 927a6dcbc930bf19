import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import type { PageQuery } from '../models/kernel/common.model';
import {
  toGroup,
  type CreateGroupInput,
  type DiscoverGroupsQuery,
  type Group,
  type GroupDocument,
  type MembershipDocument,
  type UpdateGroupInput,
} from '../models/group.model';
import type { Caller } from '../models/identity/session.model';
import { cutPage, type Page } from '../utils/cursor';
import { nameKeysOf } from '../utils/name-keys';
import { endOfPrefix } from '../utils/prefix';
import { lockAccount } from './users/account-lock';
import type { Access } from './access/access';
import type { EventBus } from './kernel/event-bus';
import { refuseTakenName, type GroupLifecycle } from './groups/group-lifecycle';
import { toListingCursor, listingOf, fromListingCursor, queryWordsOf } from './groups/group-listing';
import type { GuardedWrites } from './access/guarded-writes';

/** Creates, finds, changes and deletes groups. GroupMemberService manages their members. */
export class GroupService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly writes: GuardedWrites,
    private readonly lifecycle: GroupLifecycle,
    private readonly bus: EventBus,
  ) {}

  /** Creates a group with the caller as its owner. @throws AppError forbidden, group_name_taken, session_revoked */
  async create(caller: Caller, input: CreateGroupInput): Promise<Group> {
    this.access.requireServer(caller, 'group.create');
    const now = new Date();
    const bare: GroupDocument = {
      _id: new ObjectId(),
      name: input.name,
      ...nameKeysOf(input.name),
      description: input.description,
      visibility: input.visibility,
      joinPolicy: input.joinPolicy,
      createdBy: caller.userId,
      memberCount: 1,
      channelCount: 0,
      defaultChannelId: null,
      archivedAt: null,
      createdAt: now,
      updatedAt: now,
    };
    const listing = listingOf(bare);
    const group: GroupDocument = { ...bare, ...(listing && { listing }) };
    const owner: MembershipDocument = {
      _id: new ObjectId(),
      groupId: group._id,
      userId: caller.userId,
      role: 'owner',
      joinedAt: now,
    };
    await refuseTakenName(() =>
      this.transactions.run(async () => {
        await lockAccount(this.collections, caller.userId);
        await this.collections.memberships.insertOne(owner);
        await this.collections.groups.insertOne(group);
      }),
    );
    await this.bus.publish({ type: 'group.created', group, owner });
    return toGroup(group, owner.role);
  }

  /** Lists the groups of the caller, in the order of their ids. */
  async listMine(caller: Caller, query: PageQuery): Promise<Page<Group>> {
    const memberships = await this.collections.memberships
      .find({
        userId: caller.userId,
        ...(query.cursor && { groupId: { $gt: new ObjectId(query.cursor) } }),
      })
      .sort({ groupId: 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(memberships, query.limit, (last) => last.groupId.toHexString());
    const roles = new Map(page.items.map(({ groupId, role }) => [groupId.toHexString(), role]));
    const groups = await this.collections.groups
      .find({ _id: { $in: page.items.map(({ groupId }) => groupId) } })
      .sort({ _id: 1 })
      .toArray();
    return {
      items: groups.map((group) => toGroup(group, roles.get(group._id.toHexString()) ?? null)),
      nextCursor: page.nextCursor,
    };
  }

  /**
   * Lists the public groups that are not archived, in the order of their names. With a query, every word of it must begin
   * a word of the name or the description.
   */
  async discover(caller: Caller, query: DiscoverGroupsQuery): Promise<Page<Group>> {
    const words = query.query === undefined ? undefined : queryWordsOf(query.query);
    if (words?.length === 0) return { items: [], nextCursor: null };
    const rows = await this.collections.groups
      .find(
        {
          'listing.place': { $gt: query.cursor === undefined ? '' : fromListingCursor(query.cursor) },
          ...(words && {
            $and: words.map((word) => ({
              'listing.words': { $elemMatch: { $gte: word, $lt: endOfPrefix(word) } },
            })),
          }),
        },
        // Few groups match the words, so sorting the matches is cheaper than scanning all groups in order.
        words && { hint: 'listing_words' },
      )
      .sort({ 'listing.place': 1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, ({ listing }) => (listing ? toListingCursor(listing) : ''));
    const own = await this.collections.memberships
      .find({ userId: caller.userId, groupId: { $in: page.items.map(({ _id }) => _id) } })
      .toArray();
    const roles = new Map(own.map(({ groupId, role }) => [groupId.toHexString(), role]));
    return {
      items: page.items.map((group) => toGroup(group, roles.get(group._id.toHexString()) ?? null)),
      nextCursor: page.nextCursor,
    };
  }

  /** Returns a group. @throws AppError not_found */
  async get(caller: Caller, groupId: string): Promise<Group> {
    const { group, membership } = await this.access.group(caller, 'group.read', groupId);
    return toGroup(group, membership?.role ?? null);
  }

  /**
   * Changes the name, description, visibility or join policy of a group; requires the role admin.
   * @throws AppError not_found, not_a_member, forbidden, group_archived, group_name_taken
   */
  update(caller: Caller, groupId: string, input: UpdateGroupInput): Promise<Group> {
    const change = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
    return this.writes.inGroup(caller, 'group.update', groupId, {}, async ({ group, membership }) => {
      const after = await this.lifecycle.update(group._id, change, caller);
      return toGroup(after, membership?.role ?? null);
    });
  }

  /** Archives a group; requires the role owner. @throws AppError not_found, not_a_member, forbidden */
  archive(caller: Caller, groupId: string): Promise<Group> {
    return this.writes.inGroup(caller, 'group.archive', groupId, {}, async ({ group, membership }) => {
      return toGroup(await this.lifecycle.archive(group._id, caller), membership?.role ?? null);
    });
  }

  /** Restores an archived group; requires the role owner. @throws AppError not_found, not_a_member, forbidden */
  restore(caller: Caller, groupId: string): Promise<Group> {
    return this.writes.inGroup(caller, 'group.archive', groupId, {}, async ({ group, membership }) => {
      return toGroup(await this.lifecycle.restore(group._id, caller), membership?.role ?? null);
    });
  }

  /** Deletes a group with everything in it; requires the role owner. @throws AppError not_found, not_a_member, forbidden */
  delete(caller: Caller, groupId: string): Promise<void> {
    return this.writes.inGroup(caller, 'group.delete', groupId, {}, async ({ group }) => {
      await this.lifecycle.remove(group._id, caller);
    });
  }
}
