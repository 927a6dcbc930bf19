import { createHash } from 'node:crypto';
import { auditEntrySchema, NO_HASH, type AuditEntry } from '../../models/audit/audit.model';

/** A position in the chain. Kept outside of the database, it shows later whether the log before it was changed. */
export interface Anchor {
  seq: number;
  hash: string;
}

/** The first fault of a log. */
export interface ChainBreak {
  /** The position of the first entry that is wrong or missing. */
  seq: number;
  reason: string;
}

/**
 * Returns the hash of an entry: SHA-256 over the JSON text of its other fields as the API shows them, with the names sorted
 * by code units at every level and without white space. The fields include `previousHash`, so the hash also covers all
 * entries before it.
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

/** Verifies a log from its first entry, one entry after the other. */
export class ChainVerifier {
  private last: Anchor = { seq: 0, hash: NO_HASH };
  private broken: ChainBreak | undefined;
  private sawAnchor = false;

  /** @param anchor a position that was recorded elsewhere: the log must still contain it. */
  constructor(private readonly anchor?: Anchor) {}

  /** The newest entry so far. */
  get end(): Anchor {
    return this.last;
  }

  /** Checks the next entry, which may be malformed. @returns the first fault so far; entries after a fault are not checked. */
  add(entry: unknown): ChainBreak | undefined {
    this.broken ??= this.check(entry);
    return this.broken;
  }

  /**
   * Finishes the verification, after the last entry.
   * @param head the end of the log according to the database, if it is known.
   * @returns the first fault of the log; undefined if it is intact.
   */
  finish(head?: Anchor): ChainBreak | undefined {
    if (this.broken) return this.broken;
    const { seq, hash } = this.last;
    const { anchor } = this;
    if (anchor && anchor.seq > 0 && !this.sawAnchor) {
      return { seq: seq + 1, reason: `the log ends before the anchor, entry ${anchor.seq}` };
    }
    if (head && head.seq > seq) {
      return { seq: seq + 1, reason: `the log ends here, but entry ${head.seq} was added last` };
    }
    if (head?.seq === seq && head.hash !== hash) {
      return { seq, reason: 'it is not the entry that was added last' };
    }
    return undefined;
  }

  private check(given: unknown): ChainBreak | undefined {
    const expected = this.last.seq + 1;
    const parsed = auditEntrySchema.safeParse(given);
    if (!parsed.success) return { seq: expected, reason: 'it is not an entry of an audit log' };
    const entry = parsed.data;
    if (entry.seq > expected) return { seq: expected, reason: `it is missing; entry ${entry.seq} follows` };
    if (entry.seq < expected) return { seq: expected, reason: `entry ${entry.seq} is in its position` };
    if (hashOf(entry) !== entry.hash) return { seq: expected, reason: 'its hash does not match its content' };
    if (entry.previousHash !== this.last.hash) {
      return { seq: expected, reason: 'it does not follow the entry before it' };
    }
    if (this.anchor?.seq === expected) {
      if (this.anchor.hash !== entry.hash) return { seq: expected, reason: 'it does not match the anchor' };
      this.sawAnchor = true;
    }
    this.last = { seq: expected, hash: entry.hash };
    return undefined;
  }
}
