import { MongoBulkWriteError, ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
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
 * Writes a batch of sends to one channel: one look at who may write, one reservation of sequence numbers, one
 * insert. Must not run twice at once for a channel (ChannelQueue sees to that): numbers and events keep the
 * order of the batch.
 *
 * The numbers are reserved before the insert, so a crash in between leaves a hole, never a double.
 */
export class MessageWriter {
  constructor(
    private readonly collections: Collections,
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
    const { known, created, failures } = await this.write(channelId, allowed);
    return drafts.map((draft): Outcome => {
      if (!writers.has(draft.senderId.toHexString())) return { status: 'rejected', reason: noChannel() };
      const key = keyOf(draft);
      const document = known.get(key);
      if (!document) return { status: 'rejected', reason: failures.get(key) };
      if (document.sentDigest !== draft.digest) return { status: 'rejected', reason: reused() };
      // Of two equal sends in one batch the first is the one that made the message.
      return { status: 'fulfilled', value: { message: toMessage(document), created: created.delete(key) } };
    });
  }

  private async write(channelId: ObjectId, drafts: readonly MessageDraft[]) {
    const known = await this.findSent(drafts);
    const created = new Set<string>();
    const failures = new Map<string, unknown>();
    const fresh = new Map<string, MessageDraft>();
    for (const draft of drafts) {
      const key = keyOf(draft);
      if (!known.has(key) && !fresh.has(key)) fresh.set(key, draft);
    }
    if (fresh.size > 0) {
      for (const document of await this.insert(channelId, [...fresh.values()], failures)) {
        known.set(keyOf(document), document);
        created.add(keyOf(document));
      }
      // What was refused as a duplicate has been sent at the same moment elsewhere: it is that message.
      const refused = [...fresh.values()].filter((draft) => !known.has(keyOf(draft)));
      for (const [key, document] of await this.findSent(refused)) known.set(key, document);
    }
    return { known, created, failures };
  }

  /** Numbers, inserts and publishes messages. Those that fail are put into `failures`. */
  private async insert(
    channelId: ObjectId,
    drafts: MessageDraft[],
    failures: Map<string, unknown>,
  ): Promise<MessageDocument[]> {
    const count = drafts.length;
    const channel = await this.collections.channels.findOneAndUpdate(
      { _id: channelId },
      { $inc: { seq: count, revision: count } },
      { returnDocument: 'after' },
    );
    if (!channel) throw noChannel();
    const createdAt = new Date();
    const documents = drafts.map((draft, index): MessageDocument => {
      const behind = count - 1 - index;
      return {
        _id: new ObjectId(),
        channelId,
        seq: channel.seq - behind,
        revision: channel.revision - behind,
        senderId: draft.senderId,
        clientMessageId: draft.clientMessageId,
        sentDigest: draft.digest,
        body: draft.body,
        createdAt,
        editedAt: null,
        deletedAt: null,
      };
    });
    const written = await this.insertEach(documents, failures);
    for (const document of written) {
      await this.bus.publish({
        type: 'message.created',
        message: toMessage(document),
        audience: audienceOfChannel(channel),
      });
    }
    return written;
  }

  private async insertEach(
    documents: MessageDocument[],
    failures: Map<string, unknown>,
  ): Promise<MessageDocument[]> {
    try {
      await this.collections.messages.insertMany(documents, { ordered: false });
      return documents;
    } catch (error) {
      if (!(error instanceof MongoBulkWriteError) || error.result.getWriteErrorCount() === 0) throw error;
      const failed = new Map(error.result.getWriteErrors().map((each) => [each.index, each]));
      for (const [index, each] of failed) {
        const document = documents[index];
        if (document) failures.set(keyOf(document), each);
      }
      return documents.filter((_, index) => !failed.has(index));
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

function reused(): AppError {
  return new AppError('client_message_id_reused', 'Another message was sent under this clientMessageId.');
}
