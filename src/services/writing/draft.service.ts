import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { PageQuery } from '../../models/kernel/common.model';
import {
  MAX_DRAFTS,
  toDraft,
  type Draft,
  type DraftDocument,
  type DraftQuery,
  type SaveDraftInput,
} from '../../models/writing/draft.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { lockAccount } from '../users/account-lock';
import type { Access } from '../access/access';
import type { BackgroundJob } from '../kernel/background-job';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { Jobs } from '../kernel/jobs';

/** The batch window: drafts of sent messages are removed together after it. */
const BATCH_WINDOW_MS = 100;

/** The unique key of a draft: a user has one in each channel, and in each thread. */
type DraftKey = Pick<DraftDocument, 'userId' | 'channelId' | 'threadId'>;

/** Stores unsent messages, shared by all devices of a user. */
export class DraftService {
  /** The clientMessageIds of messages that were sent since the last batch. */
  private sentIds = new Set<string>();
  private readonly job: BackgroundJob;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
    jobs: Jobs,
  ) {
    // Drafts of sent messages are not listed in any case, so a failure of this job does no harm.
    this.job = jobs.add({ name: 'sent_drafts', scope: 'node', run: () => this.removeSent() });
  }

  /** Starts to remove the drafts of sent messages. */
  start(): void {
    this.unsubscribe = this.bus.subscribe((event) => this.onEvent(event), 'publisher');
  }

  /** Stores a draft; replaces an earlier one. @throws AppError not_found, too_many_drafts */
  async save(caller: Caller, channelId: string, query: DraftQuery, input: SaveDraftInput): Promise<Draft> {
    const key = draftKey(caller, channelId, query);
    await this.access.channel(caller, 'channel.read', key.channelId);
    await this.requireThread(key);
    return this.transactions.run(async () => {
      const { drafts } = this.collections;
      // Under a lock on the account: concurrent requests cannot exceed the limit, and its deletion leaves no draft.
      await lockAccount(this.collections, caller.userId);
      const { body, clientMessageId } = input;
      const document = await drafts.findOneAndUpdate(
        key,
        {
          $set: { body, updatedAt: new Date(), ...(clientMessageId !== undefined && { clientMessageId }) },
          ...(clientMessageId === undefined && { $unset: { clientMessageId: true } }),
        },
        { upsert: true, returnDocument: 'after' },
      );
      if ((await drafts.countDocuments({ userId: caller.userId })) > MAX_DRAFTS) {
        throw new AppError('too_many_drafts', `A user can have at most ${MAX_DRAFTS} drafts.`);
      }
      await this.bus.publish({ type: 'draft.saved', draft: document! });
      return toDraft(document!);
    });
  }

  /** Deletes a draft. Idempotent. */
  async remove(caller: Caller, channelId: string, query: DraftQuery): Promise<void> {
    const key = draftKey(caller, channelId, query);
    const { deletedCount } = await this.collections.drafts.deleteOne(key);
    if (deletedCount > 0) await this.bus.publish({ type: 'draft.removed', ...key });
  }

  /** The caller's drafts in channels that they may read now. */
  async list({ userId }: Caller, { cursor, limit }: PageQuery): Promise<Page<Draft>> {
    const channelId = { $in: await this.access.readableChannelIds(userId) };
    const rows = await this.collections.drafts
      .find({ userId, channelId, ...(cursor && { _id: { $gt: new ObjectId(cursor) } }) })
      .sort({ _id: 1 })
      .limit(limit + 1)
      .toArray();
    const { items, nextCursor } = cutPage(rows, limit, (last) => last._id.toHexString());
    const sent = await this.sentAmong(userId, items);
    return {
      items: items.filter(({ clientMessageId }) => !sent.has(clientMessageId)).map(toDraft),
      nextCursor,
    };
  }

  /** Resolves when the drafts of all sent messages have been removed. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    await this.job.stop();
    await this.removeSent();
  }

  private onEvent(event: DomainEvent): void {
    if (event.type !== 'message.created') return;
    this.sentIds.add(event.message.clientMessageId);
    this.job.wake(new Date(Date.now() + BATCH_WINDOW_MS));
  }

  /** Removes the drafts of the messages of a batch window, with one query for all. */
  private async removeSent(): Promise<void> {
    const clientMessageId = { $in: [...this.sentIds] };
    if (this.sentIds.size === 0) return;
    this.sentIds = new Set();
    const drafts = await this.collections.drafts.find({ clientMessageId }).toArray();
    for (const draft of drafts) {
      const { _id, userId } = draft;
      // Another user may have used the same id, and this user may have continued to write.
      if (!(await this.sentAmong(userId, [draft])).has(draft.clientMessageId)) continue;
      const deletion = await this.collections.drafts.deleteOne({
        _id,
        clientMessageId: draft.clientMessageId!,
      });
      if (deletion.deletedCount === 0) continue;
      const { channelId, threadId } = draft;
      await this.bus.publish({ type: 'draft.removed', userId, channelId, threadId });
    }
  }

  /** The clientMessageIds of drafts under which their user has sent a message. */
  private async sentAmong(userId: ObjectId, drafts: DraftDocument[]): Promise<Set<string | undefined>> {
    const ids = drafts.flatMap(({ clientMessageId }) => clientMessageId ?? []);
    if (ids.length === 0) return new Set();
    const sent = await this.collections.messages
      .find({ senderId: userId, clientMessageId: { $in: ids } }, { projection: { clientMessageId: 1 } })
      .toArray();
    return new Set(sent.map(({ clientMessageId }) => clientMessageId));
  }

  private async requireThread({ channelId, threadId }: DraftKey): Promise<void> {
    if (!threadId) return;
    const root = await this.collections.messages.findOne({ _id: threadId, channelId });
    if (!root) throw new AppError('not_found', 'There is no such thread in the channel.');
  }
}

function draftKey({ userId }: Caller, channelId: string, { threadId }: DraftQuery): DraftKey {
  return {
    userId,
    channelId: new ObjectId(channelId),
    threadId: threadId === undefined ? null : new ObjectId(threadId),
  };
}
