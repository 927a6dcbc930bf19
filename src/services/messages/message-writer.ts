import { serialize } from 'bson';
import { LRUCache } from 'lru-cache';
import { ObjectId } from 'mongodb';
import { setImmediate as nextTick } from 'node:timers/promises';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import { toMessage, type Message, type MessageDocument } from '../../models/message.model';
import type { NotificationDocument } from '../../models/notifications/notification.model';
import type { ThreadFollowDocument } from '../../models/messages/thread.model';
import { AppError } from '../../utils/errors';
import { AttachmentUnavailable, type Attachments } from '../files/attachments';
import { actorOf, channelNotFound, refusalError, type Access } from '../access/access';
import { hasRank } from '../access/access-rules';
import type { RightsVersion } from '../access/rights-version';
import type { Committed } from '../kernel/keyed-queue';
import type { EventBus } from '../kernel/event-bus';
import type { Counter, Histogram, Telemetry } from '../kernel/telemetry';
import type { MessageComposer, MessageContent, MessageDraft } from './message-composer';
import type { MentionNotifications } from './mention-notifications';
import type { NotificationService } from '../notifications/notification.service';
import type { ReadMarkers } from '../reading/read-markers';
import { searchFieldsOf } from '../search/search-terms';
import { slowModeError, type SlowMode } from './slow-mode';
import { ThreadRoots } from './thread-roots';

/** A durable message, and whether this send created it. */
export interface SentMessage {
  message: Message;
  created: boolean;
}

type Outcome = PromiseSettledResult<SentMessage>;

/** How long after a repeated send all sends of its sender are looked up before they are written. */
const REPEATING_SENDER_MS = 60_000;

/** How long publishing may occupy the thread before it yields, for example to the write of the next batch. */
const PUBLISH_SLICE_MS = 5;

/** The unique key of a message: its sender and client message id. */
const keyOf = (senderId: ObjectId, clientMessageId: string) => `${senderId.toHexString()} ${clientMessageId}`;
const keyOfDraft = ({ sender, clientMessageId }: MessageDraft) => keyOf(sender.userId, clientMessageId);
const keyOfMessage = ({ senderId, clientMessageId }: MessageDocument) => keyOf(senderId, clientMessageId);
const senderIdOf = ({ sender }: MessageDraft) => sender.userId.toHexString();
/** Whether a user sends it, so that it requires their rights: not a message that the server writes about a call. */
const isFromUser = ({ call }: MessageDraft) => call === undefined;
const isSlowed = (draft: MessageDraft, slowModeSenders: ReadonlySet<string>) =>
  isFromUser(draft) && slowModeSenders.has(senderIdOf(draft));

/** A draft and the content of its message. */
interface Composed {
  draft: MessageDraft;
  content: MessageContent;
}

/** Other changes to publish with new messages: roots of threads with replies, new followers, notifications. */
interface SideEffects {
  roots: MessageDocument[];
  follows: ThreadFollowDocument[];
  notifications: NotificationDocument[];
}

const NO_SIDE_EFFECTS: SideEffects = { roots: [], follows: [], notifications: [] };

/** The messages that a transaction has inserted. */
interface Inserted extends SideEffects {
  channel: ChannelDocument;
  documents: MessageDocument[];
}

/** The result of a batch. */
interface Written {
  /** The message of each draft that has one, by key. */
  known: Map<string, MessageDocument>;
  /** The error of each refused draft, by key. */
  refused: Map<string, AppError>;
  changes: BatchChanges;
}

/** The changes of a batch that are to be published. */
interface BatchChanges extends SideEffects {
  channel: ChannelDocument;
  /** In the order of their sequence numbers. */
  created: MessageDocument[];
}

/** The dependencies of MessageWriter. */
export interface MessageWriterDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  composer: MessageComposer;
  attachments: Attachments;
  slowMode: SlowMode;
  markers: ReadMarkers;
  roots: ThreadRoots;
  mentionNotifications: MentionNotifications;
  notifications: NotificationService;
  rights: RightsVersion;
  bus: EventBus;
  telemetry: Telemetry;
}

/**
 * Writes a batch of sends to one channel: one access decision for all senders, and one transaction that reserves the
 * sequence numbers, verifies that the channel has not changed since the decision, and inserts the messages. Numbers
 * become visible together with their messages, so nobody sees a later message before an earlier one, and a crash leaves
 * no gap. Numbers and events keep the order of the batch. Must not run concurrently for a channel; `KeyedQueue`
 * guarantees that.
 */
export class MessageWriter {
  /** Senders who have repeated a send recently. Theirs are looked up first, so that no transaction fails on them. */
  private readonly repeatingSenders = new LRUCache<string, true>({ max: 10_000, ttl: REPEATING_SENDER_MS });
  /** A cache of channels as of their last write, except those in slow mode. */
  private readonly channels = new LRUCache<string, ChannelDocument>({ max: 10_000 });

  private readonly sizes: Histogram;
  private readonly durations: Histogram;
  private readonly retries: Counter<{ reason: 'channel_changed' | 'sent_before' }>;

  constructor(private readonly deps: MessageWriterDeps) {
    const { telemetry } = deps;
    this.sizes = telemetry.histogram({
      name: 'message_batch_size',
      help: 'Sends to one channel that were written together.',
      labels: [],
    });
    this.durations = telemetry.histogram({
      name: 'message_batch_duration_ms',
      help: 'How long it took until a batch of sends was on disk.',
      labels: [],
    });
    this.retries = telemetry.counter({
      name: 'message_batch_retries_total',
      help: 'Further round trips to the database because a batch could not be written as it was, by reason.',
      labels: ['reason'],
    });
  }

  /** @throws AppError not_found if there is no such channel */
  async commit(channelId: ObjectId, drafts: readonly MessageDraft[]): Promise<Committed<SentMessage>> {
    const start = performance.now();
    let channel: ChannelDocument | null | undefined = this.channels.get(channelId.toHexString());
    let committed = channel && (await this.commitTo(channel, drafts, true));
    while (!committed) {
      if (channel) this.retries.add({ reason: 'channel_changed' });
      channel = await this.deps.collections.channels.findOne({ _id: channelId });
      if (!channel) throw channelNotFound();
      committed = await this.commitTo(channel, drafts, false);
    }
    this.sizes.record({}, drafts.length);
    this.durations.record({}, performance.now() - start);
    return committed;
  }

  /**
   * @param channel a state of the channel, possibly outdated.
   * @param cached whether it comes from the cache: then it must not be the reason for a refusal.
   * @returns undefined, with nothing written, if the channel must be read again.
   */
  private async commitTo(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    cached: boolean,
  ): Promise<Committed<SentMessage> | undefined> {
    const senders = new Map(
      drafts.filter(isFromUser).map((draft) => [senderIdOf(draft), draft.sender] as const),
    );
    const refusals = new Map<string, AppError>();
    const slowModeSenders = new Set<string>();
    const lookUpFirst =
      !this.deps.transactions.supported ||
      drafts.some((draft) => this.repeatingSenders.has(senderIdOf(draft)));
    const [decisions, sent] = await Promise.all([
      this.deps.access.decideForUsers(channel, 'message.send', [...senders.values()].map(actorOf)),
      lookUpFirst ? this.findSent(drafts) : undefined,
    ]);
    const allAllowed = decisions.every(({ decision }) => decision.allowed && !decision.overrides);
    if (cached && !allAllowed) return undefined;
    for (const [index, [id, sender]] of [...senders].entries()) {
      const { decision, role } = decisions[index]!;
      if (!decision.allowed) refusals.set(id, refusalError(decision));
      else if (decision.overrides) {
        await this.deps.access.recordOverride(sender, 'message.send', 'channel', channel._id);
      } else if (!hasRank(role, 'moderator')) slowModeSenders.add(id);
    }
    const refusalOf = (draft: MessageDraft) =>
      isFromUser(draft) ? refusals.get(senderIdOf(draft)) : undefined;
    const allowed = drafts.filter((draft) => !refusalOf(draft));
    const written = await this.write(channel, allowed, slowModeSenders, new Set(), sent).catch(
      (error: unknown) => {
        if (error instanceof ChannelChanged) return undefined;
        throw error;
      },
    );
    if (!written) return undefined;
    const { known, refused, changes } = written;
    const created = new Set(changes.created.map(keyOfMessage));
    const outcomes = drafts.map((draft): Outcome => {
      const key = keyOfDraft(draft);
      const reason = refusalOf(draft) ?? refused.get(key);
      if (reason) return { status: 'rejected', reason };
      const document = known.get(key);
      if (document?.sentDigest !== draft.digest) return { status: 'rejected', reason: reused() };
      // Of two equal sends in one batch the first one has created the message.
      return { status: 'fulfilled', value: { message: toMessage(document), created: created.delete(key) } };
    });
    return { outcomes, publish: () => this.publish(changes) };
  }

  /**
   * Writes the drafts that have not been sent before.
   * @param slowModeSenders the senders to whom slow mode applies.
   * @param attempted ids of messages that this call has tried to insert before.
   * @param sent messages that have been sent before, by key. Undefined if they have not been looked up: then the unique
   * index detects repeated sends, and a draft is looked up before it is refused.
   */
  private async write(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    slowModeSenders: ReadonlySet<string>,
    attempted: Set<string>,
    sent?: ReadonlyMap<string, MessageDocument>,
  ): Promise<Written> {
    const retryWithLookup = async (): Promise<Written> => {
      this.retries.add({ reason: 'sent_before' });
      return this.write(channel, drafts, slowModeSenders, attempted, await this.findSent(drafts));
    };
    const known = new Map(sent);
    const newDrafts = new Map<string, MessageDraft>();
    for (const draft of drafts) {
      const key = keyOfDraft(draft);
      if (!known.has(key) && !newDrafts.has(key)) newDrafts.set(key, draft);
    }
    const refused = await this.applySlowMode(channel, newDrafts, slowModeSenders);
    const composed = await this.compose(channel, newDrafts, refused);
    if (refused.size > 0 && !sent) return retryWithLookup();
    let inserted: Inserted | undefined;
    if (composed.length > 0) {
      inserted = await this.insert(channel, composed, slowModeSenders, attempted);
      if (!inserted) return retryWithLookup();
      for (const document of inserted.documents) known.set(keyOfMessage(document), document);
      this.cache(inserted.channel);
    }
    const created = [...known.values()]
      .filter(({ _id }) => attempted.has(_id.toHexString()))
      .sort((one, other) => one.seq - other.seq);
    return { known, refused, changes: { channel, ...(inserted ?? NO_SIDE_EFFECTS), created } };
  }

  private cache(channel: ChannelDocument): void {
    const key = channel._id.toHexString();
    // Without transactions, a write that detects a changed channel could not be rolled back.
    if (this.deps.transactions.supported && channel.slowModeSeconds === 0) this.channels.set(key, channel);
    else this.channels.delete(key);
  }

  private async publish({ channel, created, roots, follows, notifications }: BatchChanges): Promise<void> {
    let sliceEnd = performance.now() + PUBLISH_SLICE_MS;
    for (const document of created) {
      await this.deps.bus.publish({ type: 'message.created', channel, message: document });
      if (performance.now() < sliceEnd) continue;
      await nextTick();
      sliceEnd = performance.now() + PUBLISH_SLICE_MS;
    }
    for (const root of roots)
      await this.deps.bus.publish({ type: 'message.updated', channel, message: root });
    await this.publishFollows(channel, created, follows);
    await this.deps.notifications.publishToReaders(channel._id, notifications);
  }

  /** Publishes new follows to users who read the channel: the author of a root may no longer do so. */
  private async publishFollows(
    { _id }: ChannelDocument,
    created: readonly MessageDocument[],
    follows: readonly ThreadFollowDocument[],
  ): Promise<void> {
    if (follows.length === 0) return;
    const { access, rights, bus } = this.deps;
    const followers = follows.map(({ userId }) => userId);
    await rights.publish(
      () => access.filterReaders(_id, followers),
      (readers) => {
        const senders = created.map(({ senderId }) => senderId);
        const recipients = new Set([...readers, ...senders].map((id) => id.toHexString()));
        return Promise.all(
          follows
            .filter(({ userId }) => recipients.has(userId.toHexString()))
            .map((follow) => bus.publish({ type: 'thread_follow.changed', follow })),
        );
      },
    );
  }

  /** Removes from `newDrafts` those that slow mode refuses. @returns their errors, by key. */
  private async applySlowMode(
    channel: ChannelDocument,
    newDrafts: Map<string, MessageDraft>,
    slowModeSenders: ReadonlySet<string>,
  ): Promise<Map<string, AppError>> {
    const refused = new Map<string, AppError>();
    if (channel.slowModeSeconds === 0) return refused;
    const slowedDrafts = [...newDrafts].filter(([, draft]) => isSlowed(draft, slowModeSenders));
    const senderIds = slowedDrafts.map(([, { sender }]) => sender.userId);
    const waiting = await this.deps.slowMode.waitingTimes(channel, senderIds);
    for (const [key, draft] of slowedDrafts) {
      const seconds = waiting.get(senderIdOf(draft));
      // An accepted draft makes the sender's next ones wait.
      if (seconds === undefined) waiting.set(senderIdOf(draft), channel.slowModeSeconds);
      else {
        refused.set(key, slowModeError(seconds));
        newDrafts.delete(key);
      }
    }
    return refused;
  }

  /** Composes the new drafts. Adds the error of each that cannot be sent to `refused`. */
  private async compose(
    channel: ChannelDocument,
    newDrafts: ReadonlyMap<string, MessageDraft>,
    refused: Map<string, AppError>,
  ): Promise<Composed[]> {
    const contents = await this.deps.composer.compose(channel, [...newDrafts.values()]);
    return [...newDrafts].flatMap(([key, draft], index): Composed[] => {
      const content = contents[index]!;
      if (!(content instanceof AppError)) return [{ draft, content }];
      refused.set(key, content);
      return [];
    });
  }

  /**
   * Assigns sequence numbers and inserts messages.
   * @throws ChannelChanged if the channel differs from the state on which access was decided.
   * @returns undefined if another node has just written one of the messages, or one of their uploads has just been
   * attached to another message: then the batch must be looked up again.
   */
  private async insert(
    decidedOn: ChannelDocument,
    composed: Composed[],
    slowModeSenders: ReadonlySet<string>,
    attempted: Set<string>,
  ): Promise<Inserted | undefined> {
    const { _id: channelId, slowModeSeconds } = decidedOn;
    const count = composed.length;
    const mainCount = composed.filter(({ content }) => content.threadId === undefined).length;
    const rootCount = ThreadRoots.idsOf(composed.map(({ content }) => content)).length;
    try {
      return await this.deps.transactions.run(async () => {
        await this.deps.attachments.claim(composed.map(({ content }) => content));
        const channel = await this.deps.collections.channels.findOneAndUpdate(
          { _id: channelId },
          { $inc: { seq: count, mainSeq: mainCount, revision: count + rootCount } },
          { returnDocument: 'after' },
        );
        if (!channel) throw channelNotFound();
        if (this.deps.transactions.supported && !haveSameRules(channel, decidedOn))
          throw new ChannelChanged();
        const createdAt = new Date();
        const revision = channel.revision - rootCount;
        let mainSeq = channel.mainSeq - mainCount;
        const documents = composed.map(({ draft, content }, index) => {
          const remaining = count - 1 - index;
          if (content.threadId === undefined) mainSeq++;
          const numbers = { seq: channel.seq - remaining, mainSeq, revision: revision - remaining };
          return newMessage(channelId, draft, content, numbers, createdAt);
        });
        for (const { _id } of documents) attempted.add(_id.toHexString());
        await this.deps.collections.messages.insertMany(documents);
        const { roots, follows } = await this.deps.roots.recordReplies(documents, revision + 1);
        await this.deps.markers.advanceSenders(documents);
        if (channel.kind === 'direct') {
          await this.deps.collections.channelActivity.updateMany(
            { channelId },
            { $set: { activeAt: createdAt } },
          );
        }
        const notifications: NotificationDocument[] = [];
        for (const document of documents) {
          if (document.mentionIds ?? document.mentionsEveryone) {
            notifications.push(...(await this.deps.mentionNotifications.store(channel, document)));
          }
        }
        if (slowModeSeconds > 0) {
          const marked = composed.filter(({ draft }) => isSlowed(draft, slowModeSenders));
          await this.deps.slowMode.recordSends(
            channel,
            marked.map(({ draft }) => draft.sender.userId),
            createdAt,
          );
        }
        return { channel, documents, roots, follows, notifications };
      });
    } catch (error) {
      if (duplicateIndex(error) === 'sender_client_id_unique' || error instanceof AttachmentUnavailable)
        return undefined;
      throw error;
    }
  }

  /** The messages that exist under the client message ids of these drafts, by key. */
  private async findSent(drafts: readonly MessageDraft[]): Promise<Map<string, MessageDocument>> {
    const bySender = new Map<string, { senderId: ObjectId; ids: string[] }>();
    for (const draft of drafts) {
      const entry = bySender.get(senderIdOf(draft)) ?? { senderId: draft.sender.userId, ids: [] };
      entry.ids.push(draft.clientMessageId);
      bySender.set(senderIdOf(draft), entry);
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

/** The channel has changed since access was decided. */
class ChannelChanged extends Error {}

/** Whether two states of a channel are equal except for the fields that messages change. */
function haveSameRules(one: ChannelDocument, other: ChannelDocument): boolean {
  const rules = (channel: ChannelDocument) => serialize({ ...channel, seq: 0, mainSeq: 0, revision: 0 });
  return Buffer.compare(rules(one), rules(other)) === 0;
}

function newMessage(
  channelId: ObjectId,
  { sender, clientMessageId, digest }: MessageDraft,
  content: MessageContent,
  numbers: Pick<MessageDocument, 'seq' | 'mainSeq' | 'revision'>,
  createdAt: Date,
): MessageDocument {
  return {
    _id: new ObjectId(),
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

function reused(): AppError {
  return new AppError('client_message_id_reused', 'Another message has been sent with this clientMessageId.');
}
