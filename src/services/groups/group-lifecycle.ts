import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { GroupDocument } from '../../models/group.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import { nameKeysOf } from '../../utils/name-keys';
import { toDetails, type AuditService } from '../audit/audit.service';
import type { AvatarService } from '../files/avatar.service';
import type { ChannelMembers } from '../channels/channel-members';
import type { ChannelPurger } from '../channels/channel-purger';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { EventBus } from '../kernel/event-bus';
import { listingOf } from './group-listing';
import type { NotificationService } from '../notifications/notification.service';
import type { PendingAdmissions } from './pending-admissions';

/** The user whom the audit log records for an action. */
export type AuditActor = Pick<Caller, 'userId' | 'address'>;

/** The fields of a group that can be changed. */
export type GroupChange = Partial<
  Pick<GroupDocument, 'name' | 'description' | 'visibility' | 'joinPolicy' | 'archivedAt'>
>;

/** The dependencies of GroupLifecycle. */
export interface GroupLifecycleDeps {
  collections: Collections;
  transactions: Transactions;
  queue: KeyedQueue;
  channelMembers: ChannelMembers;
  admissions: PendingAdmissions;
  notifications: NotificationService;
  avatars: AvatarService;
  purger: ChannelPurger;
  audit: AuditService;
  bus: EventBus;
}

/**
 * Changes, archives and deletes groups, together with the data that belongs to them, the events and the audit log. It
 * does not check access: its callers do.
 */
export class GroupLifecycle {
  constructor(private readonly deps: GroupLifecycleDeps) {}

  /** Changes fields of a group. @throws AppError not_found, group_name_taken */
  update(groupId: ObjectId, change: GroupChange, by: AuditActor): Promise<GroupDocument> {
    return this.deps.transactions.run(async () => {
      const group = await this.change(groupId, change);
      await this.record('group.updated', group, by, toDetails(change));
      return group;
    });
  }

  private change(groupId: ObjectId, change: GroupChange): Promise<GroupDocument> {
    return refuseTakenName(() =>
      this.deps.transactions.run(async () => {
        const before = await this.deps.collections.groups.findOne({ _id: groupId });
        if (!before) throw groupNotFound();
        // An unchanged name keeps its keys: an older name may look like that of another group.
        const renamed = change.name !== undefined && change.name !== before.name;
        const keys = renamed ? nameKeysOf(change.name ?? '') : {};
        const fields = { ...change, ...keys, updatedAt: new Date() };
        const { listing: _, ...bare } = { ...before, ...fields };
        const listing = listingOf(bare);
        const after = await this.deps.collections.groups.findOneAndUpdate(
          { _id: groupId },
          listing ? { $set: { ...fields, listing } } : { $set: fields, $unset: { listing: true } },
          { returnDocument: 'after' },
        );
        if (!after) throw groupNotFound();
        if (before.visibility === 'public' && after.visibility === 'private') {
          await this.deps.admissions.endRequests(groupId);
        }
        await this.deps.bus.publish({ type: 'group.updated', group: after });
        return after;
      }),
    );
  }

  /** Archives a group, which makes it read-only; repeating it changes nothing. @throws AppError not_found */
  archive(groupId: ObjectId, by: AuditActor): Promise<GroupDocument> {
    return this.setArchived(groupId, by, true);
  }

  /** Restores an archived group. @throws AppError not_found */
  restore(groupId: ObjectId, by: AuditActor): Promise<GroupDocument> {
    return this.setArchived(groupId, by, false);
  }

  /**
   * Deletes a group with everything in it, in one transaction. After the commit nobody receives events of it; its messages
   * are removed from the disk later.
   * @throws AppError not_found
   */
  async remove(groupId: ObjectId, by: AuditActor): Promise<void> {
    await this.deps.transactions.run(async () => {
      const { groups, channels, memberships, groupBans } = this.deps.collections;
      await this.deps.queue.acquire([groupId]);
      const channelsToDelete = await channels.find({ groupId }).toArray();
      await this.deps.queue.acquire(channelsToDelete.map(({ _id }) => _id));
      const group = await groups.findOneAndDelete({ _id: groupId });
      if (!group) throw groupNotFound();
      const members = await memberships.find({ groupId }, { projection: { userId: 1 } }).toArray();
      await this.deps.channelMembers.removeChannels(channelsToDelete, 'deleted');
      await this.deps.admissions.endForGroup(groupId);
      for (const collection of [memberships, groupBans]) await collection.deleteMany({ groupId });
      await this.deps.notifications.withdraw({ groupId });
      const others = members.map(({ userId }) => userId).filter((userId) => !userId.equals(by.userId));
      const text = group.name;
      await this.deps.notifications.notify(others, {
        kind: 'group.deleted',
        actorId: by.userId,
        groupId,
        text,
      });
      await this.record('group.deleted', group, by, { name: text, members: String(members.length) });
      await this.deps.avatars.discard(group.avatarId);
      await this.deps.bus.publish({ type: 'group.deleted', groupId });
    });
    await this.deps.purger.wake();
  }

  private setArchived(groupId: ObjectId, by: AuditActor, archived: boolean): Promise<GroupDocument> {
    return this.deps.transactions.run(async () => {
      const before = await this.deps.collections.groups.findOne({ _id: groupId });
      if (!before) throw groupNotFound();
      if ((before.archivedAt !== null) === archived) return before;
      await this.record(archived ? 'group.archived' : 'group.restored', before, by);
      return this.change(groupId, { archivedAt: archived ? new Date() : null });
    });
  }

  private record(
    action: 'group.updated' | 'group.archived' | 'group.restored' | 'group.deleted',
    { _id: targetId }: GroupDocument,
    { userId: actorId, address }: AuditActor,
    details: Record<string, string> = {},
  ): Promise<void> {
    return this.deps.audit.record({ action, actorId, targetId, address, details });
  }
}

/** Runs a write and translates a duplicate name. @throws AppError group_name_taken */
export async function refuseTakenName<Result>(write: () => Promise<Result>): Promise<Result> {
  try {
    return await write();
  } catch (error) {
    switch (duplicateIndex(error)) {
      case 'name_key_unique':
        throw new AppError('group_name_taken', 'A group with this name exists.');
      case 'name_lookalike_unique':
        throw new AppError('group_name_taken', 'A group exists whose name looks like this one.');
      default:
        throw error;
    }
  }
}

function groupNotFound(): AppError {
  return new AppError('not_found', 'There is no such group.');
}
