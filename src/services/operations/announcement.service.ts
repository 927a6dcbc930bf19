import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toAnnouncement,
  type Announcement,
  type AnnouncementDocument,
  type CreateAnnouncementInput,
} from '../../models/operations/announcement.model';
import type { PageQuery } from '../../models/kernel/common.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { EventBus } from '../kernel/event-bus';

/** The most announcements that are shown at the same time: the newest ones. */
const MAX_CURRENT = 50;

/** Creates, ends and lists announcements of super admins to all users. */
export class AnnouncementService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly audit: AuditService,
    private readonly bus: EventBus,
  ) {}

  /** Creates an announcement. Connected clients receive it at once, others when they request it before it ends. @throws AppError forbidden */
  async create(caller: Caller, input: CreateAnnouncementInput): Promise<Announcement> {
    this.access.requireSuperAdmin(caller);
    const document: AnnouncementDocument = {
      _id: new ObjectId(),
      title: input.title,
      body: input.body,
      level: input.level,
      createdBy: caller.userId,
      createdAt: new Date(),
      endsAt: input.endsAt === undefined ? null : new Date(input.endsAt),
    };
    await this.transactions.run(async () => {
      await this.collections.announcements.insertOne(document);
      await this.audit.record({
        action: 'announcement.created',
        actorId: caller.userId,
        targetId: document._id,
        address: caller.address,
        details: {
          level: document.level,
          title: document.title,
          endsAt: document.endsAt?.toISOString() ?? null,
        },
      });
      await this.bus.publish({ type: 'announcement.created', announcement: document });
    });
    return toAnnouncement(document);
  }

  /** Ends an announcement, unless it has ended already. @throws AppError forbidden, not_found */
  async end(caller: Caller, announcementId: string): Promise<void> {
    this.access.requireSuperAdmin(caller);
    const _id = new ObjectId(announcementId);
    await this.transactions.run(async () => {
      const now = new Date();
      const ended = await this.collections.announcements.findOneAndUpdate(
        { _id, ...currentAt(now) },
        { $set: { endsAt: now } },
      );
      if (!ended) {
        if (await this.collections.announcements.findOne({ _id })) return;
        throw new AppError('not_found', 'There is no such announcement.');
      }
      await this.audit.record({
        action: 'announcement.ended',
        actorId: caller.userId,
        targetId: _id,
        address: caller.address,
      });
      await this.bus.publish({ type: 'announcement.ended', announcementId: _id });
    });
  }

  /** Lists all announcements, including ended ones, the newest first. @throws AppError forbidden */
  async list(caller: Caller, query: PageQuery): Promise<Page<Announcement>> {
    this.access.requireSuperAdmin(caller);
    const rows = await this.collections.announcements
      .find(query.cursor ? { _id: { $lt: new ObjectId(query.cursor) } } : {})
      .sort({ _id: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toAnnouncement), nextCursor: page.nextCursor };
  }

  /** Lists the current announcements, the newest first. */
  async current(): Promise<Announcement[]> {
    const rows = await this.collections.announcements
      .find(currentAt(new Date()))
      .sort({ _id: -1 })
      .limit(MAX_CURRENT)
      .toArray();
    return rows.map(toAnnouncement);
  }
}

const currentAt = (now: Date) => ({ $or: [{ endsAt: null }, { endsAt: { $gt: now } }] });
