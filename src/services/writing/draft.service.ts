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

/** How long sent messages are gathered before their drafts are looked for, in milliseconds. */
const GATHERING_MS = 100;

/** Where a draft is: one for each channel, and for each thread in it. */
type Place = Pick<DraftDocument, 'userId' | 'channelId' | 'threadId'>;

/** Messages that users have begun to write, on all of their devices. */
export class DraftService {
  /** The clientMessageIds of messages that were sent lately. */
  private sent = new Set<string>();
  private readonly job: BackgroundJob;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
    jobs: Jobs,
  ) {
    // Drafts of what was sent are not listed any more in any case, so one that a failure leaves behind does no harm.
    this.job = jobs.add({ name: 'sent_drafts', scope: 'node', run: () => this.clear() });
  }

  /** Begins to remove the drafts of messages that are sent from now on. */
  start(): void {
    this.unsubscribe = this.bus.subscribe((event) => this.note(event));
  }

  /** Keeps a draft in the place of the one before. @throws AppError not_found, too_many_drafts */
  async save(caller: Caller, channelId: string, query: DraftQuery, input: SaveDraftInput): Promise<Draft> {
    const place = placeOf(caller, channelId, query);
    await this.access.channel(caller, 'channel.read', place.channelId);
    await this.requireThread(place);
    return this.transactions.run(async () => {
      const { drafts } = this.collections;
      // Counted under a lock on the account, so that two at once do not pass the limit, nor its deletion.
      await lockAccount(this.collections, caller.userId);
      const { body, clientMessageId } = input;
      const document = await drafts.findOneAndUpdate(
        place,
        {
          $set: { body, updatedAt: new Date(), ...(clientMessageId !== undefined && { clientMessageId }) },
          ...(clientMessageId === undefined && { $unset: { clientMessageId: true } }),
        },
        { upsert: true, returnDocument: 'after' },
      );
      if ((await drafts.countDocuments({ userId: caller.userId })) > MAX_DRAFTS) {
        throw new AppError('too_many_drafts', `At most ${MAX_DRAFTS} drafts are kept.`);
      }
      await this.bus.publish({ type: 'draft.saved', draft: document! });
      return toDraft(document!);
    });
  }

  /** Throws a draft away; there may be none. */
  async remove(caller: Caller, channelId: string, query: DraftQuery): Promise<void> {
    const place = placeOf(caller, channelId, query);
    const { deletedCount } = await this.collections.drafts.deleteOne(place);
    if (deletedCount > 0) await this.bus.publish({ type: 'draft.removed', ...place });
  }

  /** The caller's drafts in what they may read now. */
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

  /** Resolves when the drafts of what was sent are gone. */
  async stop(): Promise<void> {
    this.unsubscribe?.();
    await this.job.stop();
    await this.clear();
  }

  private note(event: DomainEvent): void {
    if (event.type !== 'message.created') return;
    this.sent.add(event.message.clientMessageId);
    this.job.wake(new Date(Date.now() + GATHERING_MS));
  }

  /** Removes the drafts of what was sent lately, with one query for all of it, after the sends. */
  private async clear(): Promise<void> {
    const clientMessageId = { $in: [...this.sent] };
    if (this.sent.size === 0) return;
    this.sent = new Set();
    const drafts = await this.collections.drafts.find({ clientMessageId }).toArray();
    for (const draft of drafts) {
      const { _id, userId } = draft;
      // Another user may have chosen the same id, and this user may have gone on writing.
      if (!(await this.sentAmong(userId, [draft])).has(draft.clientMessageId)) continue;
      const gone = await this.collections.drafts.deleteOne({ _id, clientMessageId: draft.clientMessageId! });
      if (gone.deletedCount === 0) continue;
      const { channelId, threadId } = draft;
      await this.bus.publish({ type: 'draft.removed', userId, channelId, threadId });
    }
  }

  /** Those of the clientMessageIds of drafts under which their user has sent a message. */
  private async sentAmong(userId: ObjectId, drafts: DraftDocument[]): Promise<Set<string | undefined>> {
    const ids = drafts.flatMap(({ clientMessageId }) => clientMessageId ?? []);
    if (ids.length === 0) return new Set();
    const sent = await this.collections.messages
      .find({ senderId: userId, clientMessageId: { $in: ids } }, { projection: { clientMessageId: 1 } })
      .toArray();
    return new Set(sent.map(({ clientMessageId }) => clientMessageId));
  }

  private async requireThread({ channelId, threadId }: Place): Promise<void> {
    if (!threadId) return;
    const root = await this.collections.messages.findOne({ _id: threadId, channelId });
    if (!root) throw new AppError('not_found', 'There is no such thread in the channel.');
  }
}

function placeOf({ userId }: Caller, channelId: string, { threadId }: DraftQuery): Place {
  return {
    userId,
    channelId: new ObjectId(channelId),
    threadId: threadId === undefined ? null : new ObjectId(threadId),
  };
}
