import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { toAccount, type Account } from '../../models/admin/admin-user.model';
import type { Channel } from '../../models/channel.model';
import { toSharedGroup, type SharedGroup } from '../../models/group.model';
import { toMessage, type Message } from '../../models/message.model';
import type { ExportMessagesQuery } from '../../models/operations/diagnostics.model';
import type { Caller } from '../../models/identity/session.model';
import { channelNotFound, type Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { ChannelCounts } from '../channels/channel-counts';

/** The number of documents that are read at a time. An export holds no more in memory, except unsent output. */
const READ_AHEAD = 200;

/**
 * Exports whole collections, in the order of creation. Documents are read as the consumer takes them, and a consumer
 * that stops ends the reading. The export is recorded in the audit log before the first record.
 */
export class ExportService {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly counts: ChannelCounts,
    private readonly audit: AuditService,
  ) {}

  /** @throws AppError forbidden */
  async users(caller: Caller): Promise<AsyncIterable<Account>> {
    await this.recordExport(caller, 'users');
    return mapped(this.collections.users.find().sort({ _id: 1 }).batchSize(READ_AHEAD), toAccount);
  }

  /** @throws AppError forbidden */
  async groups(caller: Caller): Promise<AsyncIterable<SharedGroup>> {
    await this.recordExport(caller, 'groups');
    return mapped(this.collections.groups.find().sort({ _id: 1 }).batchSize(READ_AHEAD), toSharedGroup);
  }

  /** @throws AppError forbidden */
  async channels(caller: Caller): Promise<AsyncIterable<Channel>> {
    await this.recordExport(caller, 'channels');
    const channels = this.collections.channels.find().sort({ _id: 1 }).batchSize(READ_AHEAD);
    return mapped(channels, (channel) => this.counts.show(channel));
  }

  /** The messages of a channel by `seq`, or all messages. @throws AppError forbidden, not_found */
  async messages(caller: Caller, { channelId }: ExportMessagesQuery): Promise<AsyncIterable<Message>> {
    this.access.requireSuperAdmin(caller);
    const { messages } = this.collections;
    if (channelId === undefined) {
      await this.recordExport(caller, 'messages');
      return mapped(messages.find().sort({ _id: 1 }).batchSize(READ_AHEAD), toMessage);
    }
    const _id = new ObjectId(channelId);
    if (!(await this.collections.channels.findOne({ _id }))) throw channelNotFound();
    await this.recordExport(caller, 'messages', _id);
    return mapped(messages.find({ channelId: _id }).sort({ seq: 1 }).batchSize(READ_AHEAD), toMessage);
  }

  private async recordExport(caller: Caller, what: string, targetId: ObjectId | null = null): Promise<void> {
    this.access.requireSuperAdmin(caller);
    await this.audit.record({
      action: 'data.exported',
      actorId: caller.userId,
      targetId,
      address: caller.address,
      details: { what },
    });
  }
}

async function* mapped<Document, Shown>(
  documents: AsyncIterable<Document>,
  show: (document: Document) => Shown | Promise<Shown>,
): AsyncGenerator<Shown> {
  for await (const document of documents) yield await show(document);
}
