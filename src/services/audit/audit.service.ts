import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import { lock, type Transactions } from '../../db/transaction';
import {
  NO_HASH,
  toAuditEntry,
  type AuditAction,
  type AuditDocument,
  type AuditEntry,
  type AuditFilter,
  type AuditQuery,
} from '../../models/audit/audit.model';
import { cutPage, type Page } from '../../utils/cursor';
import { ChainVerifier, hashOf, type Anchor, type ChainBreak } from './audit-chain';

export interface AuditRecord {
  action: AuditAction;
  actorId: ObjectId | null;
  targetId: ObjectId | null;
  address: string;
  details?: Record<string, string | null>;
}

/** The number of entries that are read at a time when the whole log is read. */
const READ_BATCH_SIZE = 500;

/** Records, lists and verifies the log of privileged actions: a chain of hashes that entries are only ever added to. */
export class AuditService {
  /** Resolves when the entries so far that have their own transactions are written. */
  private lastAppend: Promise<void> = Promise.resolve();

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
  ) {}

  /**
   * Adds an entry. Inside a transaction it is part of it: there is no action without its entry, and no entry without its
   * action. Concurrent entries conflict, so that one of the transactions runs again; the entry is therefore written last.
   */
  record(record: AuditRecord): Promise<void> {
    if (this.transactions.settled()) return this.transactions.beforeCommit(() => this.append(record));
    // Entries with their own transactions are queued, so that they do not conflict.
    const add = () => this.transactions.run(() => this.append(record));
    const added = this.lastAppend.then(add);
    this.lastAppend = added.catch(() => undefined);
    return added;
  }

  /** Lists entries, the newest first. */
  async list(query: AuditQuery): Promise<Page<AuditEntry>> {
    const before = query.cursor === undefined ? {} : { seq: { $lt: query.cursor } };
    const rows = await this.collections.auditLog
      .find({ ...filterOf(query), ...before })
      .sort({ seq: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, (last) => String(last.seq));
    return { items: page.items.map(toAuditEntry), nextCursor: page.nextCursor };
  }

  /** Streams entries, the oldest first, which is the order of verification. */
  async *stream(filter: AuditFilter): AsyncGenerator<AuditEntry> {
    const entries = this.collections.auditLog
      .find(filterOf(filter))
      .sort({ seq: 1 })
      .batchSize(READ_BATCH_SIZE);
    for await (const entry of entries) yield toAuditEntry(entry);
  }

  /**
   * Verifies the whole chain.
   * @returns its end, and its first fault if there is one.
   */
  async verify(anchor?: Anchor): Promise<{ end: Anchor; broken: ChainBreak | undefined }> {
    // Read before the entries: entries that are added meanwhile are not verified.
    const head = await this.collections.auditHead.findOne({ _id: 'audit_head' });
    const verifier = new ChainVerifier(anchor);
    const entries = this.collections.auditLog.find().sort({ seq: 1 }).batchSize(READ_BATCH_SIZE);
    for await (const entry of entries) if (verifier.add(asStored(entry))) break;
    return { end: verifier.end, broken: verifier.finish(head ?? undefined) };
  }

  private async append(record: AuditRecord): Promise<void> {
    const { auditHead, auditLog } = this.collections;
    for (;;) {
      const head =
        (await lock(auditHead, { _id: 'audit_head' })) ??
        (await auditHead.findOneAndUpdate(
          { _id: 'audit_head' },
          { $setOnInsert: { seq: 0, hash: NO_HASH } },
          { upsert: true, returnDocument: 'after' },
        ));
      if (!head) throw new Error('The head of the audit log was not created.');
      const entry: AuditDocument = {
        _id: new ObjectId(),
        seq: head.seq + 1,
        at: new Date(),
        ...record,
        details: record.details ?? {},
        previousHash: head.hash,
        hash: '',
      };
      entry.hash = hashOf(toAuditEntry(entry));
      try {
        await auditLog.insertOne(entry);
      } catch (error) {
        if (duplicateIndex(error) !== 'seq_unique') throw error;
        // On a server without transactions, another entry was added first, or a crash left the head outdated.
        await this.transactions.outside(() => this.moveHead());
        continue;
      }
      await auditHead.updateOne(
        { _id: 'audit_head', seq: head.seq },
        { $set: { seq: entry.seq, hash: entry.hash } },
      );
      return;
    }
  }

  /** Moves the head to the newest entry. */
  private async moveHead(): Promise<void> {
    const [last] = await this.collections.auditLog.find().sort({ seq: -1 }).limit(1).toArray();
    if (!last) return;
    const { auditHead } = this.collections;
    await auditHead.updateOne(
      { _id: 'audit_head' },
      { $setOnInsert: { seq: 0, hash: NO_HASH } },
      { upsert: true },
    );
    await auditHead.updateOne(
      { _id: 'audit_head', seq: { $lt: last.seq } },
      { $set: { seq: last.seq, hash: last.hash } },
    );
  }
}

/** Converts changed fields to the details of an entry. */
export function toDetails(change: object): Record<string, string> {
  return Object.fromEntries(Object.entries(change).map(([name, value]) => [name, String(value)]));
}

function filterOf({ action, actorId, targetId, from, to }: AuditFilter): Filter<AuditDocument> {
  const at = { ...(from && { $gte: new Date(from) }), ...(to && { $lt: new Date(to) }) };
  return {
    ...(action && { action }),
    ...(actorId && { actorId: new ObjectId(actorId) }),
    ...(targetId && { targetId: new ObjectId(targetId) }),
    ...((from ?? to) && { at }),
  };
}

/** Returns an entry with all faults that it has in the database: a wrong form, or additional fields. */
function asStored(document: AuditDocument): unknown {
  try {
    const entry = toAuditEntry(document);
    const extra = Object.keys(document).filter((name) => name !== '_id' && !(name in entry));
    return extra.length > 0 ? { ...entry, extra } : entry;
  } catch {
    return undefined;
  }
}
