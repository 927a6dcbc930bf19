import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { HistoryQuery, MessagesReply, RepliesQuery } from '../../models/messages/history.model';
import { toMessage, type Message, type MessageDocument } from '../../models/message.model';
import { toMessageEdit, type MessageEdit } from '../../models/messages/message-edit.model';
import type { PageQuery } from '../../models/kernel/common.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import type { Access } from '../access/access';

/** The messages to page through: all of a channel, those of a thread, or those outside of threads. */
type Range = Pick<Filter<MessageDocument>, 'channelId' | 'threadId'>;

/** Reads messages. The cost of a page depends on its length alone. */
export class MessageHistory {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
  ) {}

  /** A message. @throws AppError not_found */
  async get(caller: Caller, messageId: string): Promise<Message> {
    const { message } = await this.access.message(caller, 'message.read', messageId);
    return toMessage(message);
  }

  /** A page of a channel's history by `seq`. @throws AppError not_found */
  async list(caller: Caller, channelId: string, query: HistoryQuery): Promise<MessagesReply> {
    const id = new ObjectId(channelId);
    await this.access.channel(caller, 'channel.read', id);
    const range: Range = {
      channelId: id,
      ...(query.replies === 'exclude' && { threadId: { $exists: false } }),
    };
    if (query.around !== undefined) return this.around(range, query.around, query.limit);
    if (query.at === undefined) return this.page(range, query);
    const [first] = await this.collections.messages
      .find({ channelId: id, createdAt: { $gte: new Date(query.at) } }, { projection: { seq: 1 } })
      .sort({ createdAt: 1 })
      .limit(1)
      .toArray();
    return this.around(range, first?.seq ?? Number.MAX_SAFE_INTEGER, query.limit);
  }

  /** A page of the replies in a thread by `seq`. @param messageId the root, or any of the replies. @throws AppError not_found */
  async replies(caller: Caller, messageId: string, query: RepliesQuery): Promise<MessagesReply> {
    const { message } = await this.access.message(caller, 'message.read', messageId);
    return this.page({ channelId: message.channelId, threadId: message.threadId ?? message._id }, query);
  }

  /** The earlier versions of a message, the latest first; requires the role moderator. @throws AppError not_found, forbidden */
  async edits(caller: Caller, messageId: string, query: PageQuery): Promise<Page<MessageEdit>> {
    const { message } = await this.access.message(caller, 'message.read_edits', messageId);
    const rows = await this.collections.messageEdits
      .find({ messageId: message._id, ...(query.cursor && { _id: { $lt: new ObjectId(query.cursor) } }) })
      .sort({ _id: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toMessageEdit), nextCursor: page.nextCursor };
  }

  private async page(
    range: Range,
    { before, after, limit }: Pick<HistoryQuery, 'before' | 'after' | 'limit'>,
  ): Promise<MessagesReply> {
    const rows =
      after === undefined
        ? await this.find(range, before === undefined ? undefined : { $lt: before }, -1, limit + 1)
        : await this.find(range, { $gt: after }, 1, limit + 1);
    const page = rows.slice(0, limit);
    return {
      messages: page.map(toMessage),
      nextCursor: rows.length > limit ? (page.at(-1)?.seq ?? null) : null,
      previousCursor: null,
    };
  }

  private async around(range: Range, seq: number, limit: number): Promise<MessagesReply> {
    const half = Math.floor(limit / 2);
    const [older, newer] = await Promise.all([
      this.find(range, { $lt: seq }, -1, limit + 1),
      this.find(range, { $gte: seq }, 1, limit + 1),
    ]);
    // At an end of the history the other side fills the page.
    const before = older.slice(0, Math.max(half, limit - newer.length)).reverse();
    const following = newer.slice(0, limit - before.length);
    return {
      messages: [...before, ...following].map(toMessage),
      previousCursor: older.length > before.length ? ((before[0] ?? following[0])?.seq ?? null) : null,
      nextCursor: newer.length > following.length ? ((following.at(-1) ?? before.at(-1))?.seq ?? null) : null,
    };
  }

  private find(
    range: Range,
    seq: { $lt: number } | { $gt: number } | { $gte: number } | undefined,
    direction: 1 | -1,
    limit: number,
  ): Promise<MessageDocument[]> {
    return this.collections.messages
      .find({ ...range, ...(seq && { seq }) })
      .sort({ seq: direction })
      .limit(limit)
      .toArray();
  }
}
