import { encode } from '../../src/bson/codec';
import type { Document, Value } from '../../src/bson/types';
import {
  compileIndex,
  encodeId,
  indexEntries,
  indexEntriesOfBytes,
  type CompiledIndex,
  type IndexDefinition,
} from '../../src/index/keys';
import type { IndexScan, Plan } from '../../src/index/planner';
import { StoredDocument } from '../../src/storage/stored-document';

interface Entry {
  key: Buffer;
  record: number;
}

/** An index over an array of documents, as a sorted list: what storage does, in the simplest way. */
export class MemoryIndex {
  readonly compiled: CompiledIndex;
  readonly entries: Entry[] = [];

  constructor(definition: IndexDefinition, documents: readonly Document[]) {
    this.compiled = compileIndex(definition);
    this.compiled.multikeyFields = 0;
    for (const [record, document] of documents.entries()) {
      const found = indexEntries(this.compiled, document);
      const raw = indexEntriesOfBytes(this.compiled, new StoredDocument(record, encode(document)));
      expect(raw).toEqual(found);
      this.compiled.multikey ||= found.multikey;
      this.compiled.truncated ||= found.truncated;
      this.compiled.multikeyFields |= found.multikeyFields;
      for (const key of found.keys) this.entries.push({ key, record });
    }
    this.entries.sort((a, b) => Buffer.compare(a.key, b.key) || a.record - b.record);
  }
}

function scanned(scan: IndexScan, indexes: readonly MemoryIndex[]): number[] {
  const { entries } = indexes.find((each) => each.compiled === scan.index) as MemoryIndex;
  const parts = scan.ranges.map((range, i) => {
    const previous = scan.ranges[i - 1];
    if (previous !== undefined) expect(Buffer.compare(previous.upper, range.lower)).toBeLessThanOrEqual(0);
    return entries
      .filter(({ key }) => Buffer.compare(key, range.lower) >= 0 && Buffer.compare(key, range.upper) < 0)
      .map((entry) => ({ ...entry, tail: entry.key.subarray(range.skip) }));
  });
  const found = parts.flat();
  if (scan.mergeSort) found.sort((a, b) => Buffer.compare(a.tail, b.tail) || a.record - b.record);
  if (scan.reverse) found.reverse();
  const records = found.map(({ record }) => record);
  if (!scan.deduplicate) {
    expect(new Set(records).size).toBe(records.length);
    return records;
  }
  return [...new Set(records)];
}

/** The records that a plan reaches, in its order. */
export function runPlan(
  plan: Plan,
  indexes: readonly MemoryIndex[],
  documents: readonly Document[],
): number[] {
  const all = [...documents.keys()];
  switch (plan.stage) {
    case 'EOF':
      return [];
    case 'IXSCAN':
      return scanned(plan, indexes);
    case 'IDHACK':
      return all.filter((i) => encodeId(documents[i]?.get('_id') as Value).equals(plan.key));
    case 'OR':
      return [...new Set(plan.branches.flatMap((branch) => runPlan(branch, indexes, documents)))];
    case 'COLLSCAN':
      return plan.reverse ? all.reverse() : all;
    case 'TEXT':
      throw new Error('no text here');
  }
}
