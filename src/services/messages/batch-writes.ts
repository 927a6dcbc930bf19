import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { WriteList } from '../../db/write-list';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import type { Attachments } from '../files/attachments';
import type { ReadMarkers } from '../reading/read-markers';
import { searchFieldsOf } from '../search/search-terms';
import type { MentionNotifications } from './mention-notifications';
import type { ChannelBatch, ComposedMessage, WrittenBatch } from './message-batch';
import type { SlowMode } from './slow-mode';
import { ThreadRoots } from './thread-roots';

/** Why a batch could not be written as it is: see BatchOutcome. */
export type Refusal = 'channel_changed' | 'sent_before';

/** What a write belongs to: a batch, by its index, and what it means if the write is refused. */
export interface BatchWrite {
  batch: number;
  refusal: Refusal;
}

/** Everything that some batches write together. */
export interface PlannedBatches {
  writes: WriteList<BatchWrite>;
  /** What each batch has changed when these are written. */
  written: WrittenBatch[];
}

/** The dependencies of BatchWrites. */
export interface BatchWritesDeps {
  collections: Collections;
  attachments: Attachments;
  markers: ReadMarkers;
  roots: ThreadRoots;
  slowMode: SlowMode;
  mentionNotifications: MentionNotifications;
}

/**
 * Composes the writes of batches of messages: the numbers of the channels with their guards, the messages, and what
 * depends on them. What has to be read for it is read for all batches together, and only if there are replies or mentions.
 */
export class BatchWrites {
  constructor(private readonly deps: BatchWritesDeps) {}

  async plan(batches: readonly ChannelBatch[]): Promise<PlannedBatches> {
    const { collections, attachments, markers, slowMode } = this.deps;
    const createdAt = new Date();
    const numbered = batches.map((batch) => numberBatch(batch, createdAt));
    const all = numbered.flatMap(({ created }) => created);
    const hasReplies = all.some(({ threadId }) => threadId !== undefined);
    const [threads, notifications] = await Promise.all([
      hasReplies ? this.deps.roots.find(all) : undefined,
      this.composeNotifications(numbered),
    ]);
    // Without transactions, what is written before the messages must do no harm if these are not written.
    const writes = new WriteList<BatchWrite>({ batch: 0, refusal: 'channel_changed' }).inOrder([
      collections.uploads,
      collections.channels,
      collections.threadFollows,
      collections.messages,
    ]);
    for (const [batch, { created }] of numbered.entries()) {
      writes.group = { batch, refusal: 'sent_before' };
      attachments.claim(writes, created);
      for (const message of created) writes.insert(collections.messages, message);
    }
    const written = numbered.map(({ channel, created, firstRootRevision }, index): WrittenBatch => {
      const batch = batches[index]!;
      writes.group = { batch: index, refusal: 'channel_changed' };
      this.reserve(writes, batch, channel);
      markers.advanceSenders(writes, created);
      const effects = threads
        ? this.deps.roots.recordReplies(writes, created, firstRootRevision, threads)
        : { roots: [], follows: [] };
      this.deps.mentionNotifications.insert(writes, notifications[index]!);
      slowMode.recordSends(writes, channel, batch.slowedSenders, createdAt);
      return { channel, created, ...effects, notifications: notifications[index]! };
    });
    this.recordActivity(writes, batches, createdAt);
    return { writes, written };
  }

  /** Counts the messages of a batch in its channel, which must be in the state on which the batch was decided. */
  private reserve(
    writes: WriteList<BatchWrite>,
    { channel: { _id, revision, mainSeq } }: ChannelBatch,
    after: ChannelDocument,
  ): void {
    writes.updateRequired(
      this.deps.collections.channels,
      { _id, revision, mainSeq },
      { $set: { seq: after.seq, mainSeq: after.mainSeq, revision: after.revision } },
    );
  }

  /** Records when a message was last sent in direct conversations. */
  private recordActivity(
    writes: WriteList<BatchWrite>,
    batches: readonly ChannelBatch[],
    activeAt: Date,
  ): void {
    const direct = batches.filter(({ channel }) => channel.kind === 'direct');
    if (direct.length === 0) return;
    const channelId = { $in: direct.map(({ channel }) => channel._id) };
    writes.updateMany(this.deps.collections.channelActivity, { channelId }, { $set: { activeAt } });
  }

  /** @returns the notifications of each batch. */
  private async composeNotifications(numbered: readonly NumberedBatch[]): Promise<NotificationDocument[][]> {
    const mentioning = numbered.flatMap(({ channel, created }, batch) =>
      created
        .filter(({ mentionIds, mentionsEveryone }) => mentionIds ?? mentionsEveryone)
        .map((message) => ({ channel, message, batch })),
    );
    const notifications = numbered.map((): NotificationDocument[] => []);
    if (mentioning.length === 0) return notifications;
    const composed = await this.deps.mentionNotifications.compose(mentioning);
    for (const [index, { batch }] of mentioning.entries()) notifications[batch]!.push(...composed[index]!);
    return notifications;
  }
}

/** A batch whose messages have their numbers. */
interface NumberedBatch {
  /** The channel after the batch. */
  channel: ChannelDocument;
  created: MessageDocument[];
  /** The revision for the first root of a thread with replies in the batch; further roots take the next ones. */
  firstRootRevision: number;
}

function numberBatch({ channel, messages }: ChannelBatch, createdAt: Date): NumberedBatch {
  let { seq, mainSeq, revision } = channel;
  const created = messages.map((message) => {
    if (message.content.threadId === undefined) mainSeq++;
    return newMessage(channel._id, message, { seq: ++seq, mainSeq, revision: ++revision }, createdAt);
  });
  const rootCount = ThreadRoots.idsOf(created).length;
  return {
    channel: { ...channel, seq, mainSeq, revision: revision + rootCount },
    created,
    firstRootRevision: revision + 1,
  };
}

function newMessage(
  channelId: ObjectId,
  { _id, draft: { sender, clientMessageId, digest }, content }: ComposedMessage,
  numbers: Pick<MessageDocument, 'seq' | 'mainSeq' | 'revision'>,
  createdAt: Date,
): MessageDocument {
  return {
    _id,
    channelId,
    ...numbers,
    senderId: sender.userId,
    clientMessageId,
    sentDigest: digest,
    ...content,
    search: content.call
      ? null
      : searchFieldsOf(content.body, sender.userId.toHexString(), content.attachments),
    createdAt,
    editedAt: null,
    deletedAt: null,
  };
}
