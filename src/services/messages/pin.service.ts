import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { toMessage, type Message } from '../../models/message.model';
import { MAX_PINS, type PinsQuery, type PinsReply } from '../../models/messages/pin.model';
import type { Caller } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import type { Access, MessageAccess } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import { requireUndeleted, type MessageChanges } from './message-changes';

/** Pins messages in channels. */
export class PinService {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly changes: MessageChanges,
    private readonly audit: AuditService,
  ) {}

  /** Pins a message. Idempotent. @throws AppError not_found, forbidden, message_deleted, too_many_pins */
  pin(caller: Caller, messageId: string): Promise<Message> {
    return this.changes.asCaller(caller, 'message.pin', messageId, async (found) => {
      const { message: current } = found;
      requireUndeleted(current);
      if (current.pinnedAt) return toMessage(current);
      const { channelId } = current;
      const pinned = { channelId, pinnedRevision: { $exists: true } };
      if ((await this.collections.messages.countDocuments(pinned)) >= MAX_PINS) {
        throw new AppError('too_many_pins', `A channel can have at most ${MAX_PINS} pinned messages.`);
      }
      const { message } = await this.changes.apply(current, (pinnedRevision) => ({
        $set: { pinnedAt: new Date(), pinnedBy: caller.userId, pinnedRevision },
      }));
      await this.record('message.pinned', caller, found);
      return toMessage(message);
    });
  }

  /** Unpins a message. Idempotent. @throws AppError not_found, forbidden */
  unpin(caller: Caller, messageId: string): Promise<Message> {
    return this.changes.asCaller(caller, 'message.pin', messageId, async (found) => {
      const { message: current } = found;
      if (!current.pinnedAt) return toMessage(current);
      const removed = { pinnedAt: true, pinnedBy: true, pinnedRevision: true } as const;
      const { message } = await this.changes.apply(current, () => ({ $unset: removed }));
      await this.record('message.unpinned', caller, found);
      return toMessage(message);
    });
  }

  /** Records a pin in the audit log, except in direct conversations, where pinning is no privilege. */
  private async record(
    action: 'message.pinned' | 'message.unpinned',
    { userId: actorId, address }: Caller,
    { message, channel }: MessageAccess,
  ): Promise<void> {
    if (channel.kind === 'direct') return;
    const details = { channelId: channel._id.toHexString() };
    await this.audit.record({ action, actorId, targetId: message._id, address, details });
  }

  /** The pinned messages of a channel, the most recently pinned first. @throws AppError not_found */
  async list(caller: Caller, channelId: string, { cursor, limit }: PinsQuery): Promise<PinsReply> {
    const id = new ObjectId(channelId);
    await this.access.channel(caller, 'channel.read', id);
    const pinnedRevision = cursor === undefined ? { $exists: true } : { $lt: cursor };
    const rows = await this.collections.messages
      .find({ channelId: id, pinnedRevision })
      .sort({ pinnedRevision: -1 })
      .limit(limit + 1)
      .toArray();
    const page = rows.slice(0, limit);
    return {
      messages: page.map(toMessage),
      nextCursor: rows.length > limit ? (page.at(-1)?.pinnedRevision ?? null) : null,
    };
  }
}
