import { numberOf } from '../commands/arguments';
import type { Document } from '../bson/types';
import type { IndexDefinition } from './indexes';

/** The definition that an index specification of listIndexes stands for. */
export function readDefinition(spec: Document): IndexDefinition {
  const key = [...(spec.get('key') as Document)].map(([field, order]): [string, 1 | -1 | 'text'] => [
    field,
    order === 'text' ? 'text' : (numberOf(order) ?? 1) < 0 ? -1 : 1,
  ]);
  return { name: spec.get('name') as string, key, unique: spec.get('unique') === true };
}
