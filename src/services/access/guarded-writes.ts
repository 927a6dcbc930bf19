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
 * Runs the writes of people to groups and channels, but for messages: each in the queue of the group, and of the
 * channel, in one transaction, and decided on documents that are locked until its end (the group, the channel, and
 * the memberships of the caller and of whom it is done to). So no decision rests on what another write has just
 * changed, on this node or on another one.
 *
 * A first look before the queue answers those who may not: a stranger does not learn from waiting that a private
 * group is busy. The group's turn comes before the channel's, and both before the first lock: whoever has a turn may
 * be waiting for a document that a transaction which waits for the turn has locked.
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
   * Does something with a group.
   * @param work gets the group as it is locked, and what the caller is in it.
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
    await this.access.group(caller, action, _id, { ...options, quiet: true });
    return this.transactions.run(async () => {
      await this.queue.acquire([_id]);
      return work(await this.access.group(caller, action, _id, { ...options, lock: true }));
    });
  }

  /**
   * Does something with a channel.
   * @param work gets the channel as it is locked, and what the caller is in it.
   * @throws AppError as `Access.channel`
   */
  async inChannel<Result>(
    caller: Caller,
    action: ChannelAction,
    channelId: ObjectId | string,
    options: AccessOptions,
    work: (found: ChannelAccess) => Promise<Result>,
  ): Promise<Result> {
    const { channel } = await this.access.channel(caller, action, channelId, { ...options, quiet: true });
    const { _id, groupId } = channel;
    return this.transactions.run(async () => {
      if (groupId) await this.queue.acquire([groupId]);
      await this.queue.acquire([_id]);
      return work(await this.access.channel(caller, action, _id, { ...options, lock: true }));
    });
  }

  /**
   * Does something with a channel on the server's own account, under the same queues and locks as `inChannel`. Nothing
   * happens if the channel is gone.
   * @param subjectId the user whom it concerns, whose membership is locked as well.
   * @param work gets the channel as it is locked.
   * @returns false if the channel is gone.
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
