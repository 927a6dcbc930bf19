import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import type { Caller } from '../../models/identity/session.model';
import type { Access, ChannelAccess, GroupAccess } from './access';
import type { ChannelAction, GroupAction } from './access-actions';
import type { AccessFacts, AccessOptions } from './access-facts';
import type { KeyedQueue } from '../kernel/keyed-queue';

/**
 * Runs the writes of users to groups and channels, except messages. Each runs in one transaction, in the queue of its
 * group and channel, and is decided on documents that are locked until its end: the group, the channel, and the
 * memberships of the caller and of the affected user. So no decision depends on a state that another write has just
 * changed, on this node or on another one.
 *
 * A preliminary check before the queue refuses those who may not do it, so that waiting does not reveal that a private
 * group is busy. The key of the group is acquired before that of the channel, and both before the first lock: the holder
 * of a key may be waiting for a document that a transaction which waits for the key has locked.
 */
export class GuardedWrites {
  constructor(
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly queue: KeyedQueue,
    private readonly collections: Collections,
    private readonly facts: AccessFacts,
  ) {}

  /**
   * Runs a write to a group.
   * @param work receives the locked group, and the caller's membership.
   * @throws AppError as `Access.group`
   */
  async inGroup<Result>(
    caller: Caller,
    action: GroupAction,
    groupId: ObjectId | string,
    options: AccessOptions,
    work: (found: GroupAccess) => Promise<Result>,
  ): Promise<Result> {
    const _id = new ObjectId(groupId);
    await this.access.group(caller, action, _id, { ...options, preliminary: true });
    return this.transactions.run(async () => {
      await this.queue.acquire([_id]);
      return work(await this.access.group(caller, action, _id, { ...options, lock: true }));
    });
  }

  /**
   * Runs a write to a channel.
   * @param work receives the locked channel, and the caller's role and restriction.
   * @throws AppError as `Access.channel`
   */
  async inChannel<Result>(
    caller: Caller,
    action: ChannelAction,
    channelId: ObjectId | string,
    options: AccessOptions,
    work: (found: ChannelAccess) => Promise<Result>,
  ): Promise<Result> {
    const { channel } = await this.access.channel(caller, action, channelId, {
      ...options,
      preliminary: true,
    });
    const { _id, groupId } = channel;
    return this.transactions.run(async () => {
      if (groupId) await this.queue.acquire([groupId]);
      await this.queue.acquire([_id]);
      return work(await this.access.channel(caller, action, _id, { ...options, lock: true }));
    });
  }

  /**
   * Runs a write of the server itself to a channel, with the same queues and locks as `inChannel`.
   * @param subjectId the affected user, whose membership is locked as well.
   * @param work receives the locked channel. It is not called if the channel no longer exists.
   * @returns false if the channel no longer exists.
   */
  async inChannelByServer(
    channelId: ObjectId,
    subjectId: ObjectId,
    work: (channel: ChannelDocument) => Promise<void>,
  ): Promise<boolean> {
    const { channels } = this.collections;
    const found = await channels.findOne({ _id: channelId }, { projection: { groupId: 1 } });
    if (!found) return false;
    return this.transactions.run(async () => {
      if (found.groupId) await this.queue.acquire([found.groupId]);
      await this.queue.acquire([channelId]);
      await this.facts.lockChannel(found, [subjectId]);
      const channel = await channels.findOne({ _id: channelId });
      if (channel) await work(channel);
      return channel !== null;
    });
  }
}
