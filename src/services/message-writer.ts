import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { duplicateIndex } from '../db/mongodb';
import type { Transactions } from '../db/transaction';
import type { ChannelDocument } from '../models/channel.model';
import { toMessage, type Message, type MessageDocument } from '../models/message.model';
import { AppError } from '../utils/errors';
import { audienceOfChannel, noChannel, type Access } from './access';
import type { EventBus } from './event-bus';

/** A message that waits to be written. */
export interface MessageDraft {
  senderId: ObjectId;
  clientMessageId: string;
  body: string;
  /** SHA-256 of channel and body, by which a repeated send is told from another message. */
  digest: string;
}

/** A message on disk, and whether this send put it there. */
export interface SentMessage {
  message: Message;
  created: boolean;
}

type Outcome = PromiseSettledResult<SentMessage>;

/** Names a draft by what makes it unique. */
const keyOf = (draft: { senderId: ObjectId; clientMessageId: string }) =>
  `${draft.senderId.toHexString()} ${draft.clientMessageId}`;

/**
 * Writes a batch of sends to one channel: one look at who may write, and one transaction that reserves the
 * sequence numbers and inserts the messages. Numbers appear together with their messages, so nobody sees a
 * later message before an earlier one, and a crash leaves no hole. Must not run twice at once for a channel
 * (ChannelQueue sees to that): numbers and events keep the order of the batch.
 */
export class MessageWriter {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
  ) {}

  /** @returns an outcome for each draft, in their order. */
  async commit(channelId: ObjectId, drafts: readonly MessageDraft[]): Promise<Outcome[]> {
    const channel = await this.collections.channels.findOne({ _id: channelId });
    if (!channel) throw noChannel();
    const senders = new Map(drafts.map(({ senderId }) => [senderId.toHexString(), senderId]));
    const writers = await this.access.writersOf(channel, [...senders.values()]);
    const allowed = drafts.filter(({ senderId }) => writers.has(senderId.toHexString()));
    const { known, created } = await this.write(channel, allowed, new Set());
    return drafts.map((draft): Outcome => {
      if (!writers.has(draft.senderId.toHexString())) return { status: 'rejected', reason: noChannel() };
      const key = keyOf(draft);
      const document = known.get(key);
      if (document?.sentDigest !== draft.digest) return { status: 'rejected', reason: reused() };
      // Of two equal sends in one batch the first is the one that made the message.
      return { status: 'fulfilled', value: { message: toMessage(document), created: created.delete(key) } };
    });
  }

  /**
   * Writes what is new among the drafts, and publishes it.
   * @param attempted ids of messages that this call has tried to insert before.
   * @returns the message of each draft, and the keys of those that are new.
   */
  private async write(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    attempted: Set<string>,
  ): Promise<{ known: Map<string, MessageDocument>; created: Set<string> }> {
    const known = await this.findSent(drafts);
    const fresh = new Map<string, MessageDraft>();
    for (const draft of drafts) {
      const key = keyOf(draft);
      if (!known.has(key) && !fresh.has(key)) fresh.set(key, draft);
    }
    let audience = audienceOfChannel(channel);
    if (fresh.size > 0) {
      const inserted = await this.insert(channel._id, [...fresh.values()], attempted);
      if (!inserted) return this.write(channel, drafts, attempted);
      for (const document of inserted.documents) known.set(keyOf(document), document);
      audience = audienceOfChannel(inserted.channel);
    }
    const created = [...known.values()]
      .filter(({ _id }) => attempted.has(_id.toHexString()))
      .sort((one, other) => one.seq - other.seq);
    for (const document of created) {
      await this.bus.publish({ type: 'message.created', message: toMessage(document), audience });
    }
    return { known, created: new Set(created.map(keyOf)) };
  }

  /**
   * Numbers and inserts messages.
   * @returns undefined when one of them has been sent at the same moment elsewhere, so that a new look is due.
   */
  private async insert(
    channelId: ObjectId,
    drafts: MessageDraft[],
    attempted: Set<string>,
  ): Promise<{ channel: ChannelDocument; documents: MessageDocument[] } | undefined> {
    const count = drafts.length;
    try {
      return await this.transactions.run(async () => {
        const channel = await this.collections.channels.findOneAndUpdate(
          { _id: channelId },
          { $inc: { seq: count, revision: count } },
          { returnDocument: 'after' },
        );
        if (!channel) throw noChannel();
        const createdAt = new Date();
        const documents = drafts.map((draft, index) => {
          const behind = count - 1 - index;
          const numbers = { seq: channel.seq - behind, revision: channel.revision - behind };
          return newMessage(channelId, draft, numbers, createdAt);
        });
        for (const { _id } of documents) attempted.add(_id.toHexString());
        await this.collections.messages.insertMany(documents);
        return { channel, documents };
      });
    } catch (error) {
      if (duplicateIndex(error) === 'sender_client_id_unique') return undefined;
      throw error;
    }
  }

  /** What was sent before under the ids of these drafts. */
  private async findSent(drafts: readonly MessageDraft[]): Promise<Map<string, MessageDocument>> {
    const bySender = new Map<string, { senderId: ObjectId; ids: string[] }>();
    for (const { senderId, clientMessageId } of drafts) {
      const entry = bySender.get(senderId.toHexString()) ?? { senderId, ids: [] };
      entry.ids.push(clientMessageId);
      bySender.set(senderId.toHexString(), entry);
    }
    const found = await Promise.all(
      [...bySender.values()].map(({ senderId, ids }) =>
        this.collections.messages.find({ senderId, clientMessageId: { $in: ids } }).toArray(),
      ),
    );
    return new Map(found.flat().map((document) => [keyOf(document), document]));
  }
}

function newMessage(
  channelId: ObjectId,
  { senderId, clientMessageId, digest, body }: MessageDraft,
  numbers: { seq: number; revision: number },
  createdAt: Date,
): MessageDocument {
  return {
    _id: new ObjectId(),
    channelId,
    ...numbers,
    senderId,
    clientMessageId,
    sentDigest: digest,
    body,
    createdAt,
    editedAt: null,
    deletedAt: null,
  };
}

function reused(): AppError {
  return new AppError('client_message_id_reused', 'Another message was sent under this clientMessageId.');
}
