import type { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import type { ChannelDocument } from '../models/channel.model';
import { AppError } from '../utils/errors';

/** Keeps the members of a channel from writing faster than its slow mode says. */
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
}

/** @param seconds until the sender may write again. */
export function tooSoon(seconds: number): AppError {
  const message = `This channel is in slow mode: write again in ${seconds} s.`;
  return new AppError('slow_mode', message, undefined, seconds);
}
