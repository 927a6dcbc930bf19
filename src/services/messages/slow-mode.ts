import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ChannelDocument } from '../../models/channel.model';
import { AppError } from '../../utils/errors';
import type { ChannelAccess } from '../access/access';
import { hasRank } from '../access/access-rules';

/** Keeps the members of a channel from writing, and from changing what they wrote, faster than its slow mode says. */
export class SlowMode {
  constructor(private readonly collections: Collections) {}

  /** Those of the senders who have to wait, by id in hexadecimal digits, and the seconds until they may write. */
  async waitingTimes(
    { _id: channelId, slowModeSeconds }: ChannelDocument,
    senderIds: ObjectId[],
  ): Promise<Map<string, number>> {
    if (slowModeSeconds === 0 || senderIds.length === 0) return new Map();
    const marks = await this.collections.slowModeMarks
      .find({ channelId, userId: { $in: senderIds } })
      .toArray();
    const waiting = marks.flatMap(({ userId, sentAt }): [string, number][] => {
      const left = sentAt.getTime() / 1000 + slowModeSeconds - Date.now() / 1000;
      return left > 0 ? [[userId.toHexString(), Math.ceil(left)]] : [];
    });
    return new Map(waiting);
  }

  /** Notes that these people have written. Part of the transaction that inserts their messages. */
  async note({ _id: channelId }: ChannelDocument, senderIds: ObjectId[], sentAt: Date): Promise<void> {
    if (senderIds.length === 0) return;
    await this.collections.slowModeMarks.bulkWrite(
      senderIds.map((userId) => ({
        updateOne: { filter: { channelId, userId }, update: { $set: { sentAt } }, upsert: true },
      })),
    );
  }

  /**
   * Notes that somebody edits a message or reacts to one: that has an interval of its own, beside that of messages, so
   * that a mistake can be mended at once, and nobody writes faster by it. Part of the transaction of the change, in the
   * turn of the channel.
   * @throws AppError slow_mode
   */
  async change(access: SlowedIn, userId: ObjectId): Promise<void> {
    if (!isSlowed(access)) return;
    const { _id: channelId, slowModeSeconds } = access.channel;
    const { slowModeChanges } = this.collections;
    const last = await slowModeChanges.findOne({ channelId, userId });
    const left = last ? last.changedAt.getTime() / 1000 + slowModeSeconds - Date.now() / 1000 : 0;
    if (left > 0) throw tooSoon(Math.ceil(left));
    await slowModeChanges.updateOne(
      { channelId, userId },
      { $set: { changedAt: new Date() } },
      { upsert: true },
    );
  }
}

/** What decides whether slow mode holds for somebody. */
export type SlowedIn = Pick<ChannelAccess, 'channel' | 'role'>;

/** Whether somebody is a member who has to wait in slow mode: moderators have not, nor who is not in the group. */
function isSlowed({ channel, role }: SlowedIn): boolean {
  return channel.slowModeSeconds > 0 && role !== null && !hasRank(role, 'moderator');
}

/** @param seconds until the sender may write again. */
export function tooSoon(seconds: number): AppError {
  const message = `This channel is in slow mode: write again in ${seconds} s.`;
  return new AppError('slow_mode', message, undefined, seconds);
}
