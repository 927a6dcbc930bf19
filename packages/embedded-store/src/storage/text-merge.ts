import { eachPosting } from '../index/text-keys';
import type { Catalog } from './catalog';
import type { Environment } from './environment';
import type { TextBuffer } from './text-buffer';
import { WHOLE_BUFFER } from './text-buffer';

/** Entries that are moved in one step, for which other writers may have to wait. */
const STEP_ENTRIES = 1_000;
const RECORD_ID_BYTES = 8;
const NOTHING = Buffer.alloc(0);

/** The parts of the store that moving terms uses. */
export interface MergeServices {
  environment: Environment;
  catalog: Catalog;
  textBuffer: TextBuffer;
}

/**
 * Moves terms of some documents from the change buffer into their text indexes, inside a write transaction. The
 * buffer is ordered by index and by the values before the text part, so the documents of a step share pages.
 * @param after the key of the buffer after which to start; undefined for the beginning
 * @param limit the number of documents at most
 * @returns the key after which the next step starts; undefined when the end of the buffer was reached
 */
export function moveTerms(
  { environment, catalog, textBuffer }: MergeServices,
  after: Buffer | undefined,
  limit = STEP_ENTRIES,
): Buffer | undefined {
  const numbers = catalog.indexNumbers();
  const entries: Buffer[] = [];
  const moved: Buffer[] = [];
  let isEnd = true;
  const range = { ...WHOLE_BUFFER, start: after ?? WHOLE_BUFFER.start, exclusiveStart: after !== undefined };
  for (const { key, value } of environment.buffer.getRange(range)) {
    if (entries.length >= STEP_ENTRIES || moved.length >= limit) {
      isEnd = false;
      break;
    }
    moved.push(key);
    // The index may have been dropped, and the sweeper has not removed its records yet.
    if (!numbers.has(key.readUInt32BE(0))) continue;
    const idAt = key.length - RECORD_ID_BYTES;
    eachPosting(value, (start, end) => {
      entries.push(Buffer.concat([key.subarray(0, idAt), value.subarray(start, end), key.subarray(idAt)]));
    });
  }
  entries.sort((a, b) => Buffer.compare(a, b));
  for (const entry of entries) environment.entries.putSync(entry, NOTHING);
  for (const key of moved) textBuffer.remove(key);
  return isEnd ? undefined : moved.at(-1);
}
