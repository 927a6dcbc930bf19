import { ObjectId, type UpdateFilter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import { NO_CONTENT, type MessageDocument } from '../../models/message.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import type { Access, MessageAccess } from '../access/access';
import type { MessageAction } from '../access/access-actions';
import type { ChannelChanges } from '../channels/channel-changes';
import type { KeyedQueue } from '../kernel/keyed-queue';
import type { EventBus } from '../kernel/event-bus';

/**
 * The one way to change messages that are there: in the channel's line, in one transaction, each change under the
 * next revision of the channel, and told to all who hear it.
 */
export class MessageChanges {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly queue: KeyedQueue,
    private readonly changes: ChannelChanges,
    private readonly bus: EventBus,
  ) {}

  /**
   * Does something with a message when its turn in the channel's line has come. Whether the caller may is decided
   * then, on what is true then, in the same transaction.
   * @throws AppError as `Access.message`
   */
  async onTurn<Result>(
    caller: Caller,
    action: MessageAction,
    messageId: string,
    work: (found: MessageAccess) => Promise<Result>,
  ): Promise<Result> {
    const _id = new ObjectId(messageId);
    const place = await this.collections.messages.findOne({ _id }, { projection: { channelId: 1 } });
    // The line of no channel is as good as any: there is nothing to be done.
    return this.queue.exclusive(place?.channelId ?? _id, () =>
      this.transactions.run(async () => work(await this.access.message(caller, action, _id))),
    );
  }

  /** As `onTurn`, of the server's own accord; nothing happens when the message is gone. */
  async byServer(_id: ObjectId, work: (current: MessageDocument) => Promise<void>): Promise<void> {
    const place = await this.collections.messages.findOne({ _id }, { projection: { channelId: 1 } });
    if (!place) return;
    await this.queue.exclusive(place.channelId, () =>
      this.transactions.run(async () => {
        const current = await this.collections.messages.findOne({ _id });
        if (current) await work(current);
      }),
    );
  }

  /**
   * Writes a change of a message under the channel's next revision. Part of the caller's turn and transaction.
   * @returns the message, and the channel, as they are now.
   */
  async apply(
    { _id, channelId }: Pick<MessageDocument, '_id' | 'channelId'>,
    update: (revision: number) => UpdateFilter<MessageDocument>,
    event: 'message.edited' | 'message.updated' | 'message.deleted' = 'message.updated',
  ): Promise<{ message: MessageDocument; channel: ChannelDocument }> {
    const channel = await this.changes.nextRevision(channelId);
    const { $set, ...rest } = update(channel.revision);
    const message = await this.collections.messages.findOneAndUpdate(
      { _id },
      { ...rest, $set: { ...$set, revision: channel.revision } },
      { returnDocument: 'after' },
    );
    if (!message) throw noMessage();
    await this.bus.publish({ type: event, channel, message });
    return { message, channel };
  }
}

function noMessage(): AppError {
  return new AppError('not_found', 'There is no such message.');
}

/** A message has a text or a file. */
export function nothingToSay(): AppError {
  const { path, message } = NO_CONTENT;
  return new AppError('validation_failed', `body: ${message}`, [{ path: path.join('.'), message }]);
}

/** What has been deleted is not changed any more. */
export function requireUndeleted({ deletedAt }: Pick<MessageDocument, 'deletedAt'>): void {
  if (deletedAt) throw new AppError('message_deleted', 'The message has been deleted.');
}
