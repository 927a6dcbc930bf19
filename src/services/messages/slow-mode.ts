import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { WriteList } from '../../db/write-list';
import type { ChannelDocument } from '../../models/channel.model';
import { AppError } from '../../utils/errors';
import type { ChannelAccess } from '../access/access';
import { hasRank } from '../access/access-rules';
import { TurnLoader } from '../kernel/turn-loader';

/** Enforces the slow mode of channels, for new messages and, separately, for edits and reactions. */
export class SlowMode {
  private readonly markLoader: TurnLoader<MarkKey, Date>;

  constructor(
    private readonly collections: Collections,
    transactions: Pick<Transactions, 'outside'>,
  ) {
    this.markLoader = new TurnLoader(transactions, (keys) => this.readMarks([...keys.values()]));
  }

  /** @returns the seconds that senders have to wait, by id in hexadecimal digits; without those who need not wait. */
  async waitingTimes(
    { _id: channelId, slowModeSeconds }: ChannelDocument,
    senderIds: ObjectId[],
  ): Promise<Map<string, number>> {
    if (slowModeSeconds === 0 || senderIds.length === 0) return new Map();
    const keys = senderIds.map((userId): [string, MarkKey] => [
      nameOf({ channelId, userId }),
      { channelId, userId },
    ]);
    const sentAt = await this.markLoader.load(keys);
    const waiting = new Map<string, number>();
    for (const [name, { userId }] of keys) {
      const last = sentAt.get(name);
      const secondsLeft = last ? last.getTime() / 1000 + slowModeSeconds - Date.now() / 1000 : 0;
      if (secondsLeft > 0) waiting.set(userId.toHexString(), Math.ceil(secondsLeft));
    }
    return waiting;
  }

  /** Reads when users have last written in channels, by `nameOf`, for all channels with one query. */
  private async readMarks(keys: readonly MarkKey[]): Promise<Map<string, Date>> {
    const marks = await this.collections.slowModeMarks.find({ $or: [...keys] }).toArray();
    return new Map(marks.map((mark) => [nameOf(mark), mark.sentAt]));
  }

  /** Records that these users have written, in the writes that insert their messages. */
  recordSends(
    writes: WriteList<unknown>,
    { _id: channelId }: ChannelDocument,
    senderIds: ObjectId[],
    sentAt: Date,
  ): void {
    const { slowModeMarks } = this.collections;
    for (const userId of senderIds) writes.upsert(slowModeMarks, { channelId, userId }, { $set: { sentAt } });
  }

  /**
   * Records an edit or a reaction of a user. These have an interval of their own, so that a mistake can be corrected
   * at once, but nobody can write faster by editing. Called in the transaction of the change, while the caller holds the
   * channel in its queue.
   * @throws AppError slow_mode
   */
  async recordChange(access: SlowModeFacts, userId: ObjectId): Promise<void> {
    if (!appliesTo(access)) return;
    const { _id: channelId, slowModeSeconds } = access.channel;
    const { slowModeChanges } = this.collections;
    const last = await slowModeChanges.findOne({ channelId, userId });
    const secondsLeft = last ? last.changedAt.getTime() / 1000 + slowModeSeconds - Date.now() / 1000 : 0;
    if (secondsLeft > 0) throw slowModeError(Math.ceil(secondsLeft));
    await slowModeChanges.updateOne(
      { channelId, userId },
      { $set: { changedAt: new Date() } },
      { upsert: true },
    );
  }
}

/** A user in a channel. */
interface MarkKey {
  channelId: ObjectId;
  userId: ObjectId;
}

const nameOf = ({ channelId, userId }: MarkKey) => `${channelId.toHexString()} ${userId.toHexString()}`;

/** The facts that decide whether slow mode applies to a user. */
export type SlowModeFacts = Pick<ChannelAccess, 'channel' | 'role'>;

/** Whether slow mode applies to a user: not to moderators, nor to users outside of the group. */
function appliesTo({ channel, role }: SlowModeFacts): boolean {
  return channel.slowModeSeconds > 0 && role !== null && !hasRank(role, 'moderator');
}

/** @param seconds until the sender may write again. */
export function slowModeError(seconds: number): AppError {
  const message = `This channel is in slow mode: try again in ${seconds} s.`;
  return new AppError('slow_mode', message, undefined, seconds);
}
