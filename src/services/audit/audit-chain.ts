import { createHash } from 'node:crypto';
import { auditEntrySchema, NO_HASH, type AuditEntry } from '../../models/audit/audit.model';

/** A place in the chain, to be noted where nobody who can write to the database can change it. */
export interface Anchor {
  seq: number;
  hash: string;
}

/** What is wrong with a log, and where. */
export interface ChainBreak {
  /** The first entry that is not as it should be: where it stands or ought to. */
  seq: number;
  reason: string;
}

/**
 * The hash of an entry: SHA-256 over the JSON text of its other fields, as the API shows them, with the names in
 * the order of their code units at every level and without white space. It contains `previousHash`, so it stands
 * for all that came before too.
 */
export function hashOf(entry: Omit<AuditEntry, 'hash'>): string {
  const { hash: _, ...content } = entry as AuditEntry;
  return createHash('sha256').update(canonicalJson(content)).digest('hex');
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}

/** Follows a log from its first entry, one entry after the other, and tells where it is broken. */
export class ChainVerifier {
  private last: Anchor = { seq: 0, hash: NO_HASH };
  private broken: ChainBreak | undefined;
  private sawAnchor = false;

  /** @param anchor what is known of the log from elsewhere: it must still contain this. */
  constructor(private readonly anchor?: Anchor) {}

  /** The newest entry so far. */
  get end(): Anchor {
    return this.last;
  }

  /** Takes the next entry, whatever it is. @returns what is wrong with it; nothing behind a break is looked at. */
  add(entry: unknown): ChainBreak | undefined {
    this.broken ??= this.check(entry);
    return this.broken;
  }

  /**
   * To be asked after the last entry.
   * @param head where the database says that its log ends, if it is known.
   * @returns the first break of the log, undefined if it is whole.
   */
  finish(head?: Anchor): ChainBreak | undefined {
    if (this.broken) return this.broken;
    const { seq, hash } = this.last;
    const { anchor } = this;
    if (anchor && anchor.seq > 0 && !this.sawAnchor) {
      return { seq: seq + 1, reason: `the log ends before the anchor, entry ${anchor.seq}` };
    }
    if (head && head.seq > seq) {
      return { seq: seq + 1, reason: `the log ends here, but entry ${head.seq} was the last to be added` };
    }
    if (head?.seq === seq && head.hash !== hash) {
      return { seq, reason: 'it is not the entry that was added last' };
    }
    return undefined;
  }

  private check(given: unknown): ChainBreak | undefined {
    const due = this.last.seq + 1;
    const parsed = auditEntrySchema.safeParse(given);
    if (!parsed.success) return { seq: due, reason: 'it is not an entry of an audit log' };
    const entry = parsed.data;
    if (entry.seq > due) return { seq: due, reason: `it is missing; entry ${entry.seq} follows` };
    if (entry.seq < due) return { seq: due, reason: `entry ${entry.seq} stands in its place` };
    if (hashOf(entry) !== entry.hash) return { seq: due, reason: 'its hash is not that of its content' };
    if (entry.previousHash !== this.last.hash) {
      return { seq: due, reason: 'it does not follow the entry before it' };
    }
    if (this.anchor?.seq === due) {
      if (this.anchor.hash !== entry.hash) return { seq: due, reason: 'it is not the entry of the anchor' };
      this.sawAnchor = true;
    }
    this.last = { seq: due, hash: entry.hash };
    return undefined;
  }
}
