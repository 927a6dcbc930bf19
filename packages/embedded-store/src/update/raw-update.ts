import { asBuffer, decode } from '../bson/codec';
import { Reader } from '../bson/reader';
import type { Document, Value } from '../bson/types';
import { Writer } from '../bson/writer';
import { checkStorableField } from './storable';
import { REMOVED, type Leaf, type LeafContext } from './tree';

/** The operators of an update whose paths are all top-level fields, in the order of application. */
export type FieldLeaves = ReadonlyMap<string, Leaf>;

/** A document after an update. */
export interface RawUpdate {
  readonly bytes: Buffer;
  /** The names of the fields that were changed, added or removed. */
  readonly changed: ReadonlySet<string>;
}

/** A field of the document: where it begins and ends, and its new value. */
interface Field {
  name: string;
  start: number;
  end: number;
  value: Value | undefined;
}

const writer = new Writer();

/**
 * Applies an update to an encoded document: it reads only the fields that the update names, and copies the others. The
 * result is the same as that of `Update.apply`, except that other fields keep forms that encoding would change: repeated
 * names and the deprecated type undefined. Returns undefined if the update changes nothing.
 *
 * @throws StoreError the errors of the operators.
 */
export function applyToBytes(leaves: FieldLeaves, document: Uint8Array, now: Date): RawUpdate | undefined {
  const bytes = asBuffer(document);
  const fields = readFields(leaves, bytes);
  const changed = new Set<string>();
  const added: Field[] = [];
  const context = new Context(bytes, now);
  for (const [name, leaf] of leaves) {
    if (leaf.insertOnly) continue;
    context.path = name;
    const field = find(fields, name);
    const before = field?.value;
    const after = before === undefined ? leaf.create?.(context) : leaf.update(before, context);
    if (after === before) continue;
    changed.add(name);
    const value = after === REMOVED ? undefined : after;
    if (value !== undefined) checkStorableField(name, value, undefined, 1);
    if (field) field.value = value;
    else added.push({ name, start: 0, end: 0, value });
  }
  if (changed.size === 0) return undefined;
  const replaced = fields.filter(({ name }) => changed.has(name));
  return { bytes: writer.splice(bytes, replaced, added), changed };
}

/** The context of the operators, which decodes the document only for the messages of errors. */
class Context implements LeafContext {
  path = '';
  readonly throughArray = false;
  #document: Document | undefined;

  constructor(
    private readonly bytes: Buffer,
    readonly now: Date,
  ) {}

  get document(): Document {
    return (this.#document ??= decode(this.bytes));
  }
}

function find(fields: readonly Field[], name: string): Field | undefined {
  for (const field of fields) if (field.name === name) return field;
  return undefined;
}

/** The fields that an update names, in the order of the document; of repeated names the first one. */
function readFields(leaves: FieldLeaves, bytes: Buffer): Field[] {
  const reader = new Reader(bytes);
  const fields: Field[] = [];
  const end = reader.enter(bytes.length);
  for (let start = reader.position, type = reader.type(end); type !== 0;) {
    const name = reader.name(end);
    if (leaves.has(name) && !find(fields, name)) {
      const value = reader.value(type, end);
      fields.push({ name, start, end: reader.position, value });
      if (fields.length === leaves.size) break;
    } else reader.skip(type, end);
    start = reader.position;
    type = reader.type(end);
  }
  return fields;
}
