import { serialize } from 'bson';
import { LRUCache } from 'lru-cache';
import { ObjectId } from 'mongodb';
import { setImmediate as nextTurn } from 'node:timers/promises';
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
import type { MentionNotices } from './mention-notices';
import type { ReadMarkers } from '../reading/read-markers';
import { searchFieldsOf } from '../search/search-terms';
import { tooSoon, type SlowMode } from './slow-mode';
import { ThreadRoots } from './thread-roots';

/** A message on disk, and whether this send put it there. */
export interface SentMessage {
  message: Message;
  created: boolean;
}

type Outcome = PromiseSettledResult<SentMessage>;

/** For so many milliseconds after a repeated send all sends of its sender are looked up before they are written. */
const REPEATING_MS = 60_000;

/** Milliseconds after which telling lets others go first, such as the writing of the next batch. */
const TELLING_MS = 5;

/** Names a message by what makes it unique. */
const keyOf = (senderId: ObjectId, clientMessageId: string) => `${senderId.toHexString()} ${clientMessageId}`;
const keyOfDraft = ({ sender, clientMessageId }: MessageDraft) => keyOf(sender.userId, clientMessageId);
const keyOfMessage = ({ senderId, clientMessageId }: MessageDocument) => keyOf(senderId, clientMessageId);
const idOf = ({ sender }: MessageDraft) => sender.userId.toHexString();

/** A draft, and what its message will hold. */
interface Composed {
  draft: MessageDraft;
  content: MessageContent;
}

/** What is to be told beside new messages: the roots of threads that got replies, new followers, notifications. */
interface Consequences {
  roots: MessageDocument[];
  follows: ThreadFollowDocument[];
  notices: NotificationDocument[];
}

const NO_CONSEQUENCES: Consequences = { roots: [], follows: [], notices: [] };

/** What has been written. */
interface Inserted extends Consequences {
  channel: ChannelDocument;
  documents: MessageDocument[];
}

/** What a batch has come to. */
interface Written {
  /** The message of each draft that has one. */
  known: Map<string, MessageDocument>;
  /** Why a draft could not become a message. */
  refused: Map<string, AppError>;
  /** What those who hear the channel are to be told. */
  news: News;
}

interface News extends Consequences {
  channel: ChannelDocument;
  /** In the order of their numbers. */
  created: MessageDocument[];
}

/** What MessageWriter works with. */
export interface MessageWriterDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  composer: MessageComposer;
  attachments: Attachments;
  slowMode: SlowMode;
  markers: ReadMarkers;
  roots: ThreadRoots;
  notices: MentionNotices;
  rights: RightsVersion;
  bus: EventBus;
  telemetry: Telemetry;
}

/**
 * Writes a batch of sends to one channel: one look at who may write, and one transaction that reserves the
 * sequence numbers, makes sure that the channel is what was decided by, and inserts the messages. Numbers appear together with their messages, so nobody sees a
 * later message before an earlier one, and a crash leaves no hole. Must not run twice at once for a channel
 * (ChannelQueue sees to that): numbers and events keep the order of the batch.
 */
export class MessageWriter {
  /** Who has sent something twice of late, and may do so again: it is found before a transaction fails of it. */
  private readonly repeaters = new LRUCache<string, true>({ max: 10_000, ttl: REPEATING_MS });
  /** Channels as they were when they were last written to, but for those with rules that look at more than these. */
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

  /** @throws AppError not_found when there is no such channel. */
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
   * @param channel as it was at some time.
   * @param remembered whether that may be long ago, so that nobody is refused by it.
   * @returns undefined, with nothing written, when the channel has to be read again.
   */
  private async commitTo(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    remembered: boolean,
  ): Promise<Committed<SentMessage> | undefined> {
    const senders = new Map(drafts.map((draft) => [idOf(draft), draft.sender]));
    const refusals = new Map<string, AppError>();
    const slowed = new Set<string>();
    const doubtful =
      !this.deps.transactions.supported || [...senders.keys()].some((id) => this.repeaters.has(id));
    const [decisions, sent] = await Promise.all([
      this.deps.access.decideForUsers(channel, 'message.send', [...senders.values()].map(actorOf)),
      doubtful ? this.findSent(drafts) : undefined,
    ]);
    const isPlain = decisions.every(({ decision }) => decision.allowed && !decision.overrides);
    if (remembered && !isPlain) return undefined;
    for (const [index, [id, sender]] of [...senders].entries()) {
      const { decision, role } = decisions[index]!;
      if (!decision.allowed) refusals.set(id, refusalError(decision));
      else if (decision.overrides) {
        await this.deps.access.recordOverride(sender, 'message.send', 'channel', channel._id);
      } else if (!hasRank(role, 'moderator')) slowed.add(id);
    }
    const allowed = drafts.filter((draft) => !refusals.has(idOf(draft)));
    const written = await this.write(channel, allowed, slowed, new Set(), sent).catch((error: unknown) => {
      if (error instanceof ChannelChanged) return undefined;
      throw error;
    });
    if (!written) return undefined;
    const { known, refused, news } = written;
    const created = new Set(news.created.map(keyOfMessage));
    const outcomes = drafts.map((draft): Outcome => {
      const key = keyOfDraft(draft);
      const reason = refusals.get(idOf(draft)) ?? refused.get(key);
      if (reason) return { status: 'rejected', reason };
      const document = known.get(key);
      if (document?.sentDigest !== draft.digest) return { status: 'rejected', reason: reused() };
      // Of two equal sends in one batch the first is the one that made the message.
      return { status: 'fulfilled', value: { message: toMessage(document), created: created.delete(key) } };
    });
    return { outcomes, publish: () => this.publish(news) };
  }

  /**
   * Writes what is new among the drafts.
   * @param slowed the senders whom slow mode concerns.
   * @param attempted ids of messages that this call has tried to insert before.
   * @param sent what has been sent before, of these drafts and others. Undefined when nobody has looked: the unique
   * index finds out what is written twice, and what is refused is looked up before it is.
   */
  private async write(
    channel: ChannelDocument,
    drafts: readonly MessageDraft[],
    slowed: ReadonlySet<string>,
    attempted: Set<string>,
    sent?: ReadonlyMap<string, MessageDocument>,
  ): Promise<Written> {
    const again = async (): Promise<Written> => {
      this.retries.add({ reason: 'sent_before' });
      return this.write(channel, drafts, slowed, attempted, await this.findSent(drafts));
    };
    const known = new Map(sent);
    const fresh = new Map<string, MessageDraft>();
    for (const draft of drafts) {
      const key = keyOfDraft(draft);
      if (!known.has(key) && !fresh.has(key)) fresh.set(key, draft);
    }
    const refused = await this.slowDown(channel, fresh, slowed);
    const composed = await this.compose(channel, fresh, refused);
    if (refused.size > 0 && !sent) return again();
    let inserted: Inserted | undefined;
    if (composed.length > 0) {
      inserted = await this.insert(channel, composed, slowed, attempted);
      if (!inserted) return again();
      for (const document of inserted.documents) known.set(keyOfMessage(document), document);
      this.remember(inserted.channel);
    }
    const created = [...known.values()]
      .filter(({ _id }) => attempted.has(_id.toHexString()))
      .sort((one, other) => one.seq - other.seq);
    return { known, refused, news: { channel, ...(inserted ?? NO_CONSEQUENCES), created } };
  }

  private remember(channel: ChannelDocument): void {
    const key = channel._id.toHexString();
    // Without transactions it would be too late when the write finds out that the channel is another one by now.
    if (this.deps.transactions.supported && channel.slowModeSeconds === 0) this.channels.set(key, channel);
    else this.channels.delete(key);
  }

  private async publish({ channel, created, roots, follows, notices }: News): Promise<void> {
    let pause = performance.now() + TELLING_MS;
    for (const document of created) {
      await this.deps.bus.publish({ type: 'message.created', channel, message: document });
      if (performance.now() < pause) continue;
      await nextTurn();
      pause = performance.now() + TELLING_MS;
    }
    for (const root of roots)
      await this.deps.bus.publish({ type: 'message.updated', channel, message: root });
    await this.publishFollows(channel, created, follows);
    await this.deps.notices.announce(channel, notices);
  }

  /** The author of a root follows its thread from the first reply on, and may not read the channel any more. */
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
        const concerned = new Set([...readers, ...senders].map((id) => id.toHexString()));
        return Promise.all(
          follows
            .filter(({ userId }) => concerned.has(userId.toHexString()))
            .map((follow) => bus.publish({ type: 'thread_follow.changed', follow })),
        );
      },
    );
  }

  /** Takes out of `fresh` what slow mode does not let through. @returns why, by key. */
  private async slowDown(
    channel: ChannelDocument,
    fresh: Map<string, MessageDraft>,
    slowed: ReadonlySet<string>,
  ): Promise<Map<string, AppError>> {
    const refused = new Map<string, AppError>();
    if (channel.slowModeSeconds === 0) return refused;
    const concerned = [...fresh].filter(([, draft]) => slowed.has(idOf(draft)));
    const senderIds = concerned.map(([, { sender }]) => sender.userId);
    const waiting = await this.deps.slowMode.waitingTimes(channel, senderIds);
    for (const [key, draft] of concerned) {
      const seconds = waiting.get(idOf(draft));
      // One that passes makes the sender's next ones wait.
      if (seconds === undefined) waiting.set(idOf(draft), channel.slowModeSeconds);
      else {
        refused.set(key, tooSoon(seconds));
        fresh.delete(key);
      }
    }
    return refused;
  }

  /** What is to be stored of the fresh ones; notes in `refused` why one cannot be. */
  private async compose(
    channel: ChannelDocument,
    fresh: ReadonlyMap<string, MessageDraft>,
    refused: Map<string, AppError>,
  ): Promise<Composed[]> {
    const contents = await this.deps.composer.compose(channel, [...fresh.values()]);
    return [...fresh].flatMap(([key, draft], index): Composed[] => {
      const content = contents[index]!;
      if (!(content instanceof AppError)) return [{ draft, content }];
      refused.set(key, content);
      return [];
    });
  }

  /**
   * Numbers and inserts messages.
   * @throws ChannelChanged when the channel is not what was decided by.
   * @returns undefined when one of them has been sent at the same moment elsewhere, or what it was to have is on
   * another message by now, so that a new look is due.
   */
  private async insert(
    decidedBy: ChannelDocument,
    composed: Composed[],
    slowed: ReadonlySet<string>,
    attempted: Set<string>,
  ): Promise<Inserted | undefined> {
    const { _id: channelId, slowModeSeconds } = decidedBy;
    const count = composed.length;
    const mainCount = composed.filter(({ content }) => content.threadId === undefined).length;
    const rootCount = ThreadRoots.of(composed.map(({ content }) => content)).length;
    try {
      return await this.deps.transactions.run(async () => {
        await this.deps.attachments.claim(composed.map(({ content }) => content));
        const channel = await this.deps.collections.channels.findOneAndUpdate(
          { _id: channelId },
          { $inc: { seq: count, mainSeq: mainCount, revision: count + rootCount } },
          { returnDocument: 'after' },
        );
        if (!channel) throw channelNotFound();
        if (this.deps.transactions.supported && !haveSameRules(channel, decidedBy))
          throw new ChannelChanged();
        const createdAt = new Date();
        const revision = channel.revision - rootCount;
        let mainSeq = channel.mainSeq - mainCount;
        const documents = composed.map(({ draft, content }, index) => {
          const behind = count - 1 - index;
          if (content.threadId === undefined) mainSeq++;
          const numbers = { seq: channel.seq - behind, mainSeq, revision: revision - behind };
          return newMessage(channelId, draft, content, numbers, createdAt);
        });
        for (const { _id } of documents) attempted.add(_id.toHexString());
        await this.deps.collections.messages.insertMany(documents);
        const { roots, follows } = await this.deps.roots.noteReplies(documents, revision + 1);
        await this.deps.markers.advanceSenders(documents);
        if (channel.kind === 'direct') {
          await this.deps.collections.channelActivity.updateMany(
            { channelId },
            { $set: { activeAt: createdAt } },
          );
        }
        const notices: NotificationDocument[] = [];
        for (const document of documents) {
          if (document.mentionIds ?? document.mentionsEveryone) {
            notices.push(...(await this.deps.notices.store(channel, document)));
          }
        }
        if (slowModeSeconds > 0) {
          const marked = composed.filter(({ draft }) => slowed.has(idOf(draft)));
          await this.deps.slowMode.note(
            channel,
            marked.map(({ draft }) => draft.sender.userId),
            createdAt,
          );
        }
        return { channel, documents, roots, follows, notices };
      });
    } catch (error) {
      if (duplicateIndex(error) === 'sender_client_id_unique' || error instanceof AttachmentUnavailable)
        return undefined;
      throw error;
    }
  }

  /** What was sent before under the ids of these drafts. */
  private async findSent(drafts: readonly MessageDraft[]): Promise<Map<string, MessageDocument>> {
    const bySender = new Map<string, { senderId: ObjectId; ids: string[] }>();
    for (const draft of drafts) {
      const entry = bySender.get(idOf(draft)) ?? { senderId: draft.sender.userId, ids: [] };
      entry.ids.push(draft.clientMessageId);
      bySender.set(idOf(draft), entry);
    }
    const $or = [...bySender.values()].map(({ senderId, ids }) => ({
      senderId,
      clientMessageId: { $in: ids },
    }));
    const found = await this.deps.collections.messages.find({ $or }).toArray();
    for (const { senderId } of found) this.repeaters.set(senderId.toHexString(), true);
    return new Map(found.map((document) => [keyOfMessage(document), document]));
  }
}

/** A channel is not what it was when it was decided who may write to it. */
class ChannelChanged extends Error {}

/** Whether two states of a channel differ in nothing but what messages change. */
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
    search: searchFieldsOf(content.body, sender.userId.toHexString(), content.attachments),
    createdAt,
    editedAt: null,
    deletedAt: null,
  };
}

function reused(): AppError {
  return new AppError('client_message_id_reused', 'Another message was sent under this clientMessageId.');
}
