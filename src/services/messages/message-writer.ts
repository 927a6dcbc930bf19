import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import { toMessage, type Message, type MessageDocument } from '../../models/message.model';
import { AppError } from '../../utils/errors';
import { channelNotFound } from '../access/access';
import type { ChannelMemory } from '../channels/channel-memory';
import type { Committed } from '../kernel/keyed-queue';
import { keyOfDraft, keyOfMessage, type WrittenBatch } from './message-batch';
import type { MessageCommitter } from './message-committer';
import type { MessageDraft } from './message-composer';
import type { MessagePublisher } from './message-publisher';
import type { PreparedDrafts, SendPreparation } from './send-preparation';
import { CountedCache } from '../../utils/counted-cache';

/** A durable message, and whether this send created it. */
export interface SentMessage {
  message: Message;
  created: boolean;
}

const NONE: ReadonlyMap<string, MessageDocument> = new Map();

type Outcome = PromiseSettledResult<SentMessage>;

/** How long after a repeated send all sends of its sender are looked up before they are written. */
const REPEATING_SENDER_MS = 60_000;

/** The dependencies of MessageWriter. */
export interface MessageWriterDeps {
  collections: Collections;
  transactions: Transactions;
  memory: ChannelMemory;
  preparation: SendPreparation;
  committer: MessageCommitter;
  publisher: MessagePublisher;
}

/** What is known about the drafts of a batch. */
interface Known {
  /** Messages that exist under the client message ids of the drafts, by key. */
  sent: Map<string, MessageDocument>;
  /** The error of each draft whose sender may not send, and of each other one that cannot be sent, by key. */
  forbidden: Map<string, AppError>;
  refused: Map<string, AppError>;
  written: WrittenBatch | undefined;
}

/**
 * Writes a batch of sends to one channel: prepares them on a state of the channel, commits them, and begins again with a
 * newer state, or after looking for messages that were sent before, if it could not be written as it was. Numbers become
 * visible together with their messages, so nobody sees a later message before an earlier one, and a crash leaves no gap.
 * Must not run concurrently for a channel; `KeyedQueue` guarantees that.
 */
export class MessageWriter {
  /** Senders who have repeated a send recently. Theirs are looked up first, so that no transaction fails on them. */
  private readonly repeatingSenders = new CountedCache<string, true>({
    max: 10_000,
    ttl: REPEATING_SENDER_MS,
  });

  constructor(private readonly deps: MessageWriterDeps) {}

  /** @throws AppError not_found if there is no such channel */
  async commit(channelId: ObjectId, drafts: readonly MessageDraft[]): Promise<Committed<SentMessage>> {
    const ids = new Map(drafts.map((draft) => [keyOfDraft(draft), new ObjectId()]));
    const known = await this.write(channelId, drafts, ids);
    const isOwn = (message: MessageDocument) => ids.get(keyOfMessage(message))?.equals(message._id) === true;
    const created = new Map([...known.sent].filter(([, message]) => isOwn(message)));
    const unacknowledged = new Set(created.keys());
    const outcomes = drafts.map((draft): Outcome => {
      const key = keyOfDraft(draft);
      const message = known.sent.get(key);
      const reason = known.forbidden.get(key) ?? (message ? undefined : known.refused.get(key));
      if (reason) return { status: 'rejected', reason };
      if (message?.sentDigest !== draft.digest) return { status: 'rejected', reason: reused() };
      // Of two equal sends in one batch the first one has created the message.
      return {
        status: 'fulfilled',
        value: { message: toMessage(message), created: unacknowledged.delete(key) },
      };
    });
    return { outcomes, publish: () => this.publish(channelId, [...created.values()], known.written) };
  }

  /** Writes the drafts that have not been sent before and may be sent. @param ids the ids of their messages, by key. */
  private async write(
    channelId: ObjectId,
    drafts: readonly MessageDraft[],
    ids: ReadonlyMap<string, ObjectId>,
  ): Promise<Known> {
    const { memory, preparation, committer } = this.deps;
    const idOf = (draft: MessageDraft) => ids.get(keyOfDraft(draft))!;
    let sent = this.mayRepeat(drafts) ? await this.findSent(drafts) : undefined;
    let remembered = memory.get(channelId);
    for (;;) {
      const channel = remembered ?? (await this.read(channelId));
      const prepared =
        (sent ? undefined : preparation.prepareAtOnce(channel, drafts, idOf)) ??
        (await preparation.prepare(channel, remembered !== undefined, drafts, sent ?? NONE, idOf));
      if (!prepared) {
        remembered = undefined;
        continue;
      }
      // A draft that was sent before must not be refused.
      if (prepared.refused.size > 0 && !sent) {
        sent = await this.findSent(drafts);
        continue;
      }
      const outcome = hasMessages(prepared) ? await committer.write(prepared.batch) : undefined;
      switch (outcome?.kind) {
        case 'channel_changed':
          memory.forget(channelId);
          remembered = undefined;
          break;
        case 'sent_before':
          sent = await this.findSent(drafts);
          break;
        default:
          return this.complete(prepared, sent, outcome?.batch);
      }
    }
  }

  private complete(
    { forbidden, refused }: PreparedDrafts,
    sent: ReadonlyMap<string, MessageDocument> | undefined,
    written: WrittenBatch | undefined,
  ): Known {
    const all = new Map(sent);
    for (const message of written?.created ?? []) all.set(keyOfMessage(message), message);
    if (written) this.deps.memory.remember(written.channel);
    return { sent: all, forbidden, refused, written };
  }

  /** @param created the messages that these sends have created, also by an attempt whose outcome was lost. */
  private async publish(
    channelId: ObjectId,
    created: MessageDocument[],
    written: WrittenBatch | undefined,
  ): Promise<void> {
    if (created.length === 0) return;
    const channel = written?.channel ?? (await this.read(channelId));
    const effects = written ?? { roots: [], follows: [], notifications: [] };
    const inOrder = [...created].sort((one, other) => one.seq - other.seq);
    await this.deps.publisher.publish({ ...effects, channel, created: inOrder });
  }

  private async read(_id: ObjectId): Promise<ChannelDocument> {
    const channel = await this.deps.collections.channels.findOne({ _id });
    if (!channel) throw channelNotFound();
    return channel;
  }

  private mayRepeat(drafts: readonly MessageDraft[]): boolean {
    if (!this.deps.transactions.supported) return true;
    return drafts.some(({ sender }) => this.repeatingSenders.has(sender.userId.toHexString()));
  }

  /** The messages that exist under the client message ids of these drafts, by key. */
  private async findSent(drafts: readonly MessageDraft[]): Promise<Map<string, MessageDocument>> {
    const bySender = new Map<string, { senderId: ObjectId; ids: string[] }>();
    for (const { sender, clientMessageId } of drafts) {
      const id = sender.userId.toHexString();
      const entry = bySender.get(id) ?? { senderId: sender.userId, ids: [] };
      entry.ids.push(clientMessageId);
      bySender.set(id, entry);
    }
    const $or = [...bySender.values()].map(({ senderId, ids }) => ({
      senderId,
      clientMessageId: { $in: ids },
    }));
    const found = await this.deps.collections.messages.find({ $or }).toArray();
    for (const { senderId } of found) this.repeatingSenders.set(senderId.toHexString(), true);
    return new Map(found.map((document) => [keyOfMessage(document), document]));
  }
}

function hasMessages({ batch }: PreparedDrafts): boolean {
  return batch.messages.length > 0;
}

function reused(): AppError {
  return new AppError('client_message_id_reused', 'Another message has been sent with this clientMessageId.');
}
