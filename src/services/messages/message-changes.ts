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
 * Changes existing messages: in the queue of the channel, in one transaction, each change under the next revision of the
 * channel and published after the commit.
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
   * Runs work on a message on behalf of a caller, exclusively in its channel. Access is decided in the same transaction,
   * so on the state that the work sees.
   * @throws AppError as `Access.message`
   */
  async asCaller<Result>(
    caller: Caller,
    action: MessageAction,
    messageId: string,
    work: (message: MessageAccess) => Promise<Result>,
  ): Promise<Result> {
    const _id = new ObjectId(messageId);
    const found = await this.collections.messages.findOne({ _id }, { projection: { channelId: 1 } });
    // Without a message any key will do: access then throws not_found.
    return this.queue.exclusive(found?.channelId ?? _id, () =>
      this.transactions.run(async () => work(await this.access.message(caller, action, _id))),
    );
  }

  /** As `asCaller`, on behalf of the server. Does nothing if the message does not exist. */
  async asServer(_id: ObjectId, work: (current: MessageDocument) => Promise<void>): Promise<void> {
    const found = await this.collections.messages.findOne({ _id }, { projection: { channelId: 1 } });
    if (!found) return;
    await this.queue.exclusive(found.channelId, () =>
      this.transactions.run(async () => {
        const current = await this.collections.messages.findOne({ _id });
        if (current) await work(current);
      }),
    );
  }

  /**
   * Writes a change of a message under the next revision of the channel, in the caller's queue position and transaction.
   * @returns the message and the channel after the change.
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

/** The error for a message without text and files. */
export function noContent(): AppError {
  const { path, message } = NO_CONTENT;
  return new AppError('validation_failed', `body: ${message}`, [{ path: path.join('.'), message }]);
}

/** @throws AppError message_deleted */
export function requireUndeleted({ deletedAt }: Pick<MessageDocument, 'deletedAt'>): void {
  if (deletedAt) throw new AppError('message_deleted', 'The message has been deleted.');
}
