import { getTransient } from './environment';
import type { Environment } from './environment';
import { prefixKey } from './keys';

/** The range of all records of the buffer. */
export const WHOLE_BUFFER = { start: prefixKey(0), end: prefixKey(0xffff_ffff) };

/**
 * The change buffer of all text indexes. A write adds one record with all terms of its document, in place of one
 * entry for each term, most of which would change a page of their own. Searches read the buffer beside the entries;
 * later the terms are moved into the index in sorted batches. A document that has a record in the buffer of an index
 * has no entries in that index. All changes happen in the write transaction of the change to the document.
 */
export class TextBuffer {
  #size = 0;
  /** Called when a document was added. */
  onAdd: () => void = () => undefined;

  constructor(private readonly environment: Environment) {
    this.recount();
  }

  /** Number of records. */
  get size(): number {
    return this.#size;
  }

  /** Counts the records in the data file, after an aborted batch. */
  recount(): void {
    this.#size = this.environment.buffer.getKeysCount({ ...WHOLE_BUFFER });
  }

  has(key: Buffer): boolean {
    return getTransient(this.environment.buffer, key, {}) !== undefined;
  }

  /** Adds a record that is not there yet. */
  add(key: Buffer, postings: Buffer): void {
    this.environment.buffer.putSync(key, postings);
    this.#size++;
    this.onAdd();
  }

  /** Removes a record that is there. */
  remove(key: Buffer): void {
    this.environment.buffer.removeSync(key);
    this.#size--;
  }
}
