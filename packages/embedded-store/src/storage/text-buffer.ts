import { getTransient } from './environment';
import type { Environment } from './environment';
import { keyPrefix, prefixKey } from './keys';

/** The range of all records of the buffer. */
export const WHOLE_BUFFER = { start: prefixKey(0), end: prefixKey(0xffff_ffff) };

/**
 * Records with one prefix above which they should be moved, because a search reads all of them, and below which this is
 * done.
 */
const MANY_OF_PREFIX = { above: 2_048, below: 1_024 };
/** Records in all above which they should be moved, so that the file does not grow without end. */
const MANY = 32_768;

/**
 * The change buffer of all text indexes. A write adds one record with all terms of its document, in place of one
 * entry for each term, most of which would change a page of their own. Searches read the buffer beside the entries;
 * later the terms are moved into the index in sorted batches. A document that has a record in the buffer of an index
 * has no entries in that index. All changes happen in the write transaction of the change to the document.
 */
export class TextBuffer {
  #size = 0;
  /** Numbers of records by their prefix: the index number and the values before the text part. */
  #byPrefix = new Map<string, number>();
  /** The prefixes with many records. */
  #large = new Set<string>();
  /** The changes of these numbers by the running batch, as pairs of a prefix and 1 or -1. */
  #uncommitted: [prefix: string, change: 1 | -1][] = [];
  /** Called when a document was added. */
  onAdd: () => void = () => undefined;

  constructor(private readonly environment: Environment) {
    for (const key of environment.buffer.getKeys({ ...WHOLE_BUFFER })) this.#count(nameOf(key), 1);
  }

  /** Number of records. */
  get size(): number {
    return this.#size;
  }

  /** A prefix whose records should be moved first; undefined when no prefix has many. */
  get largePrefix(): Buffer | undefined {
    for (const prefix of this.#large) return Buffer.from(prefix, 'latin1');
    return undefined;
  }

  /** How urgent it is to move records: 0 not at all, 1 it should be done, 2 as fast as possible. */
  get pressure(): 0 | 1 | 2 {
    let pressure: 0 | 1 = this.#size > MANY ? 1 : 0;
    if (this.#size > 2 * MANY) return 2;
    for (const prefix of this.#large) {
      if ((this.#byPrefix.get(prefix) ?? 0) > 2 * MANY_OF_PREFIX.above) return 2;
      pressure = 1;
    }
    return pressure;
  }

  /** To be called when a batch is committed. */
  committed(): void {
    this.#uncommitted = [];
  }

  /** To be called when a batch was aborted: the records are as they were before it. */
  aborted(): void {
    for (const [prefix, change] of this.#uncommitted) this.#count(prefix, change === 1 ? -1 : 1);
    this.#uncommitted = [];
  }

  /** Whether a record may be added. If not, the terms have to be written to the index. */
  hasRoomFor(key: Buffer): boolean {
    const count = this.#byPrefix.get(nameOf(key)) ?? 0;
    return this.#size < 3 * MANY && count < 3 * MANY_OF_PREFIX.above;
  }

  has(key: Buffer): boolean {
    return getTransient(this.environment.buffer, key, {}) !== undefined;
  }

  /** Adds a record that is not there yet. */
  add(key: Buffer, postings: Buffer): void {
    this.environment.buffer.putSync(key, postings);
    this.#changed(key, 1);
    this.onAdd();
  }

  /** Removes a record that is there. */
  remove(key: Buffer): void {
    this.environment.buffer.removeSync(key);
    this.#changed(key, -1);
  }

  #changed(key: Buffer, change: 1 | -1): void {
    const prefix = nameOf(key);
    this.#uncommitted.push([prefix, change]);
    this.#count(prefix, change);
  }

  #count(prefix: string, change: 1 | -1): void {
    this.#size += change;
    const count = (this.#byPrefix.get(prefix) ?? 0) + change;
    if (count > 0) this.#byPrefix.set(prefix, count);
    else this.#byPrefix.delete(prefix);
    if (count > MANY_OF_PREFIX.above) this.#large.add(prefix);
    else if (count < MANY_OF_PREFIX.below) this.#large.delete(prefix);
  }
}

function nameOf(key: Buffer): string {
  return keyPrefix(key).toString('latin1');
}
