import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { MAX_RECEIPT_MEMBERS } from '../../models/reading/receipt.model';
import type { Caller } from '../../models/identity/session.model';
import { toPublicUser, type PublicUser } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { BackgroundJob } from '../kernel/background-job';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';
import type { Reader } from '../access/read-access';
import type { RightsVersion } from '../access/rights-version';
import type { UserService } from '../user.service';

/** How long receipts are collected before they are published. */
const BATCH_WINDOW_MS = 1000;

/**
 * Publishes read receipts in direct messages and small channels, of users who have not turned them off. They are derived
 * from read markers, so they add no work to sending a message.
 */
export class ReadReceipts {
  /** The read positions since the last publication, by channel and by user. */
  private pending = new Map<string, Map<string, number>>();
  private readonly job: BackgroundJob;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly users: UserService,
    private readonly bus: EventBus,
    private readonly rights: RightsVersion,
    jobs: Jobs,
  ) {
    this.job = jobs.add({ name: 'read_receipts', scope: 'node', run: () => this.publishAll() });
  }

  /** Starts collecting and publishing receipts. */
  start(): void {
    this.unsubscribe = this.bus.subscribe((event) => this.collect(event), 'publisher');
  }

  /** Stops collecting and publishing receipts. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    await this.job.stop();
  }

  /**
   * Lists the users who have seen a message, except its author, in the order of their ids.
   * @throws AppError not_found, receipts_unavailable
   */
  async seenBy(caller: Caller, messageId: string): Promise<PublicUser[]> {
    const { message, channel } = await this.access.message(caller, 'message.read', messageId);
    const members = await this.members(channel);
    if (!members) {
      const limit = `Channels with more than ${MAX_RECEIPT_MEMBERS} members have no read receipts.`;
      throw new AppError('receipts_unavailable', limit);
    }
    // Users who joined later have earlier messages marked as read, but may not have seen them.
    const addressees = members.filter(
      ({ userId, joinedAt }) => joinedAt <= message.createdAt && !userId.equals(message.senderId),
    );
    const markers = await this.collections.channelReads
      .find({ channelId: channel._id, userId: { $in: addressees.map(({ userId }) => userId) } })
      .toArray();
    const readers = markers.filter(({ seq }) => seq >= message.seq).map(({ userId }) => userId);
    const users = await this.users.findByIds(await this.filterSharing(readers));
    return [...users].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, user]) => toPublicUser(user));
  }

  private collect(event: DomainEvent): void {
    if (event.type !== 'channel.read') return;
    const { channelId, readSeq } = event.read;
    const inChannel = this.pending.get(channelId) ?? new Map<string, number>();
    inChannel.set(event.userId.toHexString(), readSeq);
    this.pending.set(channelId, inChannel);
    this.job.wake(new Date(Date.now() + BATCH_WINDOW_MS));
  }

  private async publishAll(): Promise<void> {
    const pending = this.pending;
    this.pending = new Map();
    await Promise.all([...pending].map(([channelId, seen]) => this.publish(channelId, seen)));
  }

  private async publish(channelId: string, seen: ReadonlyMap<string, number>): Promise<void> {
    const read = async () => {
      const channel = await this.collections.channels.findOne({ _id: new ObjectId(channelId) });
      const members = channel && (await this.members(channel));
      if (!members) return undefined;
      const here = members.filter(({ userId }) => seen.has(userId.toHexString()));
      return { channel, willing: await this.filterSharing(here.map(({ userId }) => userId)) };
    };
    await this.rights.publish(read, async (found) => {
      if (!found || found.willing.length === 0) return;
      await this.bus.publish({
        type: 'channel.seen',
        channel: found.channel,
        seen: found.willing.map((userId) => ({ userId, readSeq: seen.get(userId.toHexString()) ?? 0 })),
      });
    });
  }

  /** Finds the readers of a channel; undefined if there are too many for receipts. */
  private async members(channel: ChannelDocument): Promise<Reader[] | undefined> {
    const readers = await this.access.readersOf(channel, MAX_RECEIPT_MEMBERS + 1);
    return readers.length > MAX_RECEIPT_MEMBERS ? undefined : readers;
  }

  /** Keeps the users who have not turned read receipts off. */
  private async filterSharing(userIds: ObjectId[]): Promise<ObjectId[]> {
    if (userIds.length === 0) return [];
    const unwilling = await this.collections.preferences
      .find({ _id: { $in: userIds }, sendReadReceipts: false }, { projection: { _id: 1 } })
      .toArray();
    return userIds.filter((id) => !unwilling.some(({ _id }) => _id.equals(id)));
  }
}
