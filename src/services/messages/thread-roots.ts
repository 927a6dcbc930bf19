import { ObjectId, type AnyBulkWriteOperation } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { MessageDocument } from '../../models/message.model';
import type { ThreadFollowDocument } from '../../models/messages/thread.model';

/** An id made by the database would not follow those made here, and what one follows is listed by id. */
export const newFollowId = () => new ObjectId();

/** What replies have changed beside themselves. */
interface Noted {
  roots: MessageDocument[];
  follows: ThreadFollowDocument[];
}

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
   * @returns the roots as they are now, in the order of their revisions, and those who did not follow before.
   */
  async noteReplies(replies: readonly MessageDocument[], firstRevision: number): Promise<Noted> {
    const ids = ThreadRoots.of(replies);
    if (ids.length === 0) return { roots: [], follows: [] };
    await this.collections.messages.bulkWrite(
      ids.map((_id, index): AnyBulkWriteOperation<MessageDocument> => {
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
    const roots = await this.collections.messages
      .find({ _id: { $in: ids } })
      .sort({ revision: 1 })
      .toArray();
    return { roots, follows: await this.follow(replies, roots) };
  }

  private async follow(
    replies: readonly MessageDocument[],
    roots: readonly MessageDocument[],
  ): Promise<ThreadFollowDocument[]> {
    const { threadFollows } = this.collections;
    const people = [...roots, ...replies].map(({ senderId }) => senderId);
    const threadId = { $in: roots.map(({ _id }) => _id) };
    const following = { threadId, userId: { $in: people }, following: true };
    const before = await threadFollows.find(following, { projection: { _id: 1 } }).toArray();
    await threadFollows.bulkWrite([
      ...roots.map(({ _id, channelId, senderId, seq }): AnyBulkWriteOperation<ThreadFollowDocument> => ({
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
}
