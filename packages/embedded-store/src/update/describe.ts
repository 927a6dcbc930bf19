import { Binary, Decimal128, Double, Int32, Long, ObjectId, Timestamp } from 'bson';
import type { Document, Value } from '../bson/types';

const MAX_LENGTH = 150;

/** A value as MongoDB's error messages show it, shortened when it is long. */
export function describe(value: Value | undefined): string {
  const text = render(value, 0);
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH)}...`;
}

/** `{_id: …}` of a document for a message, or "no id". */
export function describeId(document: Document): string {
  const id = document.get('_id');
  return id === undefined ? '{no id}' : `{_id: ${describe(id)}}`;
}

function render(value: Value | undefined, depth: number): string {
  if (value === undefined) return 'EOO';
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value);
  if (depth > 4) return '...';
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]';
    return `[ ${value
      .slice(0, 20)
      .map((item) => render(item, depth + 1))
      .join(', ')} ]`;
  }
  if (value instanceof Map) {
    if (value.size === 0) return '{}';
    const fields = [...value].slice(0, 20).map(([name, item]) => `${name}: ${render(item, depth + 1)}`);
    return `{ ${fields.join(', ')} }`;
  }
  if (value instanceof Int32) return String(value.value);
  if (value instanceof Double) return renderDouble(value.value);
  if (value instanceof Timestamp) return `Timestamp(${value.t}, ${value.i})`;
  if (value instanceof Long) return value.toString();
  if (value instanceof Decimal128) return value.toString();
  if (value instanceof ObjectId) return `ObjectId('${value.toHexString()}')`;
  if (value instanceof Date) return `new Date(${value.getTime()})`;
  if (value instanceof Binary) return `BinData(${value.sub_type}, ${value.toString('hex')})`;
  return JSON.stringify(value);
}

function renderDouble(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? value.toFixed(1) : String(value);
}
