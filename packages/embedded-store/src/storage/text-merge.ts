import { eachPosting } from '../index/text-keys';
import type { Catalog } from './catalog';
import { successor } from '../index/interval';
import type { Environment } from './environment';
import { keyPrefix } from './keys';
import type { TextBuffer } from './text-buffer';
import { WHOLE_BUFFER } from './text-buffer';

/** Entries that are moved in one step, for which other writers may have to wait. */
const STEP_ENTRIES = 1_000;
const NOTHING = Buffer.alloc(0);

/** The entries of one index with the same values before the text part. */
interface Group {
  /** The index number and the encoded values. */
  prefix: Buffer;
  /** The rest of each key as a string of bytes, which is sorted faster than a buffer. */
  entries: string[];
}

/** The parts of the store that moving terms uses. */
export interface MergeServices {
  environment: Environment;
  catalog: Catalog;
  textBuffer: TextBuffer;
}

/**
 * Moves terms of some documents from the change buffer into their text indexes, inside a write transaction. The
 * buffer is ordered by index and by the values before the text part, so the documents of a step share pages.
 * @param from the key of the buffer after which to start, or the prefix whose documents to move; undefined for the
 * beginning
 * @param limit the number of documents at most
 * @returns the key after which the next step starts; undefined when the end of the buffer or prefix was reached
 */
export function moveTerms(
  { environment, catalog, textBuffer }: MergeServices,
  from: { after?: Buffer | undefined; prefix?: Buffer | undefined } = {},
  limit = STEP_ENTRIES,
): Buffer | undefined {
  const numbers = catalog.indexNumbers();
  const groups: Group[] = [];
  const moved: Buffer[] = [];
  let count = 0;
  let isEnd = true;
  for (const { key, value } of environment.buffer.getRange(rangeOf(from))) {
    if (count >= STEP_ENTRIES || moved.length >= limit) {
      isEnd = false;
      break;
    }
    moved.push(key);
    // The index may have been dropped, and the sweeper has not removed its records yet.
    if (!numbers.has(key.readUInt32BE(0))) continue;
    const { entries } = groupOf(groups, key);
    const id = key.toString('latin1', keyPrefix(key).length);
    const before = entries.length;
    eachPosting(value, (start, end) => entries.push(value.toString('latin1', start, end) + id));
    count += entries.length - before;
  }
  for (const group of groups) putEntries(environment, group);
  for (const key of moved) textBuffer.remove(key);
  return isEnd ? undefined : moved.at(-1);
}

function rangeOf({ after, prefix }: { after?: Buffer | undefined; prefix?: Buffer | undefined }) {
  if (prefix) return { start: prefix, end: successor(prefix) };
  return { ...WHOLE_BUFFER, start: after ?? WHOLE_BUFFER.start, exclusiveStart: after !== undefined };
}

/** The group of the last record, or a new one when this record has another prefix. */
function groupOf(groups: Group[], key: Buffer): Group {
  const prefix = keyPrefix(key);
  const last = groups.at(-1);
  if (last?.prefix.equals(prefix) === true) return last;
  const group = { prefix, entries: [] };
  groups.push(group);
  return group;
}

/** A reused buffer for keys, and its beginnings of all lengths. */
const KEY = Buffer.alloc(2_048);
const BEGINNINGS: Buffer[] = [];

function putEntries({ entries: tree }: Environment, { prefix, entries }: Group): void {
  KEY.set(prefix);
  for (const entry of entries.sort()) {
    const length = prefix.length + KEY.write(entry, prefix.length, 'latin1');
    tree.putSync((BEGINNINGS[length] ??= KEY.subarray(0, length)), NOTHING);
  }
}
