import type { Document, Value } from '../bson/types';
import type { GroupAccumulator, GroupField } from './group-accumulators';
import type { MemoryMeter } from './memory';

/** The output fields of a grouping stage, in their order. */
export type GroupFields = (readonly [name: string, field: GroupField])[];

/** One group: its key as in its first document, and its fields so far. */
export interface Group {
  key: Value;
  fields: GroupAccumulator[];
}

/** Starts a group. */
export function newGroup(key: Value, fields: GroupFields, memory: MemoryMeter): Group {
  memory.keep(key);
  for (let i = 0; i < fields.length; i++) memory.keep(null);
  return { key, fields: fields.map(([, field]) => field(key, memory)) };
}

/** Adds a document to a group. */
export function addToGroup(group: Group, document: Document): void {
  for (const field of group.fields) field.add(document);
}

/** The document of a finished group; a field without a value is null. */
export function groupDocument(group: Group, fields: GroupFields): Document {
  const made: Document = new Map([['_id', group.key]]);
  fields.forEach(([name], i) => made.set(name, group.fields[i]?.result() ?? null));
  return made;
}
