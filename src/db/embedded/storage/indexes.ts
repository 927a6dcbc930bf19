import { toPlain } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { lookup } from '../bson/paths';

/** Placeholder until the key encoding exists: equality only. */
export interface IndexDefinition {
  name: string;
  key: [string, 1 | -1 | 'text'][];
  unique?: boolean;
}
export interface CompiledIndex {
  definition: IndexDefinition;
  multikey: boolean;
  truncated: boolean;
}
export function compileIndex(definition: IndexDefinition): CompiledIndex {
  return { definition, multikey: false, truncated: false };
}
function canonical(value: Value | undefined): string {
  if (
    typeof value === 'object' &&
    value !== null &&
    '_bsontype' in value &&
    ['Int32', 'Long', 'Double', 'Decimal128'].includes(value._bsontype)
  )
    return `n${Number(value.toString())}`;
  return JSON.stringify(toPlain(value ?? null));
}
export function indexEntries(index: CompiledIndex, document: Document) {
  const parts = index.definition.key.map(([field]) => {
    const found = lookup(document, field);
    return found.length > 0 ? canonical(found[0]) : 'null';
  });
  return { keys: [Buffer.from(parts.join('|') + '\0')], multikey: false, truncated: false };
}
export function encodeId(value: Value): Buffer {
  return Buffer.from(canonical(value) + '\0');
}
