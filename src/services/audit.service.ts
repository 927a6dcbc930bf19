import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { toAuditEntry, type AuditAction, type AuditEntry } from '../models/audit.model';
import type { PageQuery } from '../models/common.model';
import { cutPage, type Page } from '../utils/cursor';

export interface AuditRecord {
  action: AuditAction;
  actorId: ObjectId | null;
  targetId: ObjectId;
  address: string;
  details?: Record<string, string | null>;
}

/** The log of privileged acts. It is only ever added to. */
export class AuditService {
  constructor(private readonly collections: Collections) {}

  async record(record: AuditRecord): Promise<void> {
    await this.collections.auditLog.insertOne({
      _id: new ObjectId(),
      at: new Date(),
      ...record,
      details: record.details ?? {},
    });
  }

  /** Newest first. */
  async list(query: PageQuery): Promise<Page<AuditEntry>> {
    const rows = await this.collections.auditLog
      .find(query.cursor ? { _id: { $lt: new ObjectId(query.cursor) } } : {})
      .sort({ _id: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => last._id.toHexString());
    return { items: page.items.map(toAuditEntry), nextCursor: page.nextCursor };
  }
}
