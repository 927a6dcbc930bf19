import { ObjectId, type AnyBulkWriteOperation } from 'mongodb';
import type { Collections } from '../db/collections';
import type { MessageDocument } from '../models/message.model';
import type { ThreadFollowDocument } from '../models/thread.model';

/** An id made by the database would not follow those made here, and what one follows is listed by id. */
export const newFollowId = () => new ObjectId();

/** Keeps the root messages of threads, and who follows them, up to date with the replies. */
export class ThreadRoots {
  constructor(private readonly collections: Collections) {}

  /** The roots that get replies from these messages: each takes a revision of the channel. */
  static of(messages: readonly Pick<MessageDocument, 'threadId'>[]): ObjectId[] {
    const roots = messages.flatMap(({ threadId }): [string, ObjectId][] =>
      threadId ? [[threadId.toHexString(), threadId]] : [],
    );
    return [...new Map(roots).values()];
  }

  /**
   * Counts new replies at their roots. Their authors follow the threads from now on, and so do the authors of the
   * roots unless they have said no. Part of the transaction that inserts the replies.
   * @param firstRevision that of the first root in the order of `ThreadRoots.of`; the others follow.
   * @returns those who did not follow before, which they are to be told.
   */
  async noteReplies(
    replies: readonly MessageDocument[],
    firstRevision: number,
  ): Promise<ThreadFollowDocument[]> {
    const roots = ThreadRoots.of(replies);
    if (roots.length === 0) return [];
    await this.collections.messages.bulkWrite(
      roots.map((_id, index): AnyBulkWriteOperation<MessageDocument> => {
        const own = replies.filter(({ threadId }) => threadId?.equals(_id));
        return {
          updateOne: {
            filter: { _id },
            update: {
              $inc: { replyCount: own.length },
              $set: { lastReplyAt: own.at(-1)!.createdAt, revision: firstRevision + index },
            },
          },
        };
      }),
    );
    return this.follow(replies, roots);
  }

  private async follow(
    replies: readonly MessageDocument[],
    roots: ObjectId[],
  ): Promise<ThreadFollowDocument[]> {
    const { messages, threadFollows } = this.collections;
    const authors = await messages
      .find({ _id: { $in: roots } }, { projection: { senderId: 1, channelId: 1, seq: 1 } })
      .toArray();
    const people = [...authors, ...replies].map(({ senderId }) => senderId);
    const following = { threadId: { $in: roots }, userId: { $in: people }, following: true };
    const before = await threadFollows.find(following, { projection: { _id: 1 } }).toArray();
    await threadFollows.bulkWrite([
      ...authors.map(({ _id, channelId, senderId, seq }): AnyBulkWriteOperation<ThreadFollowDocument> => ({
        updateOne: {
          filter: { threadId: _id, userId: senderId },
          update: { $setOnInsert: { _id: newFollowId(), channelId, following: true, readSeq: seq } },
          upsert: true,
        },
      })),
      ...replies.map(
        ({ threadId, channelId, senderId, seq }): AnyBulkWriteOperation<ThreadFollowDocument> => ({
          updateOne: {
            filter: { threadId: threadId!, userId: senderId },
            update: {
              $setOnInsert: { _id: newFollowId(), channelId },
              $set: { following: true },
              $max: { readSeq: seq },
            },
            upsert: true,
          },
        }),
      ),
    ]);
    return threadFollows.find({ ...following, _id: { $nin: before.map(({ _id }) => _id) } }).toArray();
  }

  /** The roots of these replies as they are now, in the order of their revisions. */
  async read(replies: readonly MessageDocument[]): Promise<MessageDocument[]> {
    const roots = ThreadRoots.of(replies);
    if (roots.length === 0) return [];
    return this.collections.messages
      .find({ _id: { $in: roots } })
      .sort({ revision: 1 })
      .toArray();
  }
}
