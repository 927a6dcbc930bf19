import { Int32 } from 'bson';
import { isNumber, toNumber } from '../bson/numbers';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { type Language, findLanguage } from './languages';

/** Every string of a document is indexed under this name. */
const WILDCARD = '$**';
const MAX_WEIGHT = 100_000;
const VERSION = 3;

/** A compiled text index. */
export interface TextIndex {
  /** Fields before the text part: a search must specify a value for each. */
  readonly before: readonly string[];
  /** Fields after the text part. */
  readonly after: readonly string[];
  /** Weight of each indexed path. */
  readonly weights: ReadonlyMap<string, number>;
  readonly wildcard: boolean;
  readonly language: Language;
  /** Name of the field that names a document's own language. */
  readonly languageField: string;
}

/** Whether an index key has a text part. */
export function hasTextKey(key: Document): boolean {
  for (const order of key.values()) if (order === 'text') return true;
  return false;
}

/**
 * Completes the specification of a text index as createIndexes gets it to the form that listIndexes shows: `_fts`
 * and `_ftsx` in the key, weights in order of their names, the languages and the version. A complete one is
 * returned unchanged. Errors are MongoDB's (CannotCreateIndex).
 */
export function completeTextSpec(spec: Document): Document {
  const key = spec.get('key') as Document;
  const weights = new Map<string, number>();
  readWeights(spec.get('weights'), weights);
  const parts = [...key];
  const at = parts.map(([, order], i) => (order === 'text' ? i : -1)).filter((i) => i >= 0);
  const [first = 0] = at;
  const last = at.at(-1) ?? 0;
  // The second half of a completed key is a number.
  const end = parts[first]?.[0] === '_fts' ? first + 1 : last;
  if (end === last && at.length !== last - first + 1) {
    refuse("'text' fields in index must all be adjacent");
  }
  const completed: Document = new Map();
  for (const [i, [field, order]] of parts.entries()) {
    if (i === first) completed.set('_fts', 'text').set('_ftsx', new Int32(1));
    if (i < first || i > end) {
      if (field === '_fts' || field === '_ftsx')
        refuse('text index with reserved fields _fts/_ftsx not allowed');
      if (!isNumber(order) || Math.abs(toNumber(order)) !== 1) {
        refuse('expected value 1 or -1 for non-text key in compound index');
      }
      completed.set(field, order);
    } else if (order === 'text' && field !== '_fts' && !weights.has(field)) {
      weights.set(field, 1);
    }
  }
  return assemble(spec, completed, weights);
}

function assemble(spec: Document, key: Document, weights: ReadonlyMap<string, number>): Document {
  if (weights.size === 0) refuse('a text index needs at least one field');
  const language = spec.get('default_language') ?? 'english';
  if (typeof language !== 'string') refuse('default_language needs a string type');
  if (findLanguage(language) === undefined) refuse('default_language is not valid');
  const override = spec.get('language_override') ?? 'language';
  if (typeof override !== 'string' || override === '' || override.startsWith('$') || override.includes('.')) {
    refuse('language_override is not valid');
  }
  const version = spec.get('textIndexVersion');
  if (version !== undefined && (!isNumber(version) || toNumber(version) !== VERSION)) {
    refuse(`bad textIndexVersion: only version ${VERSION} is supported`);
  }
  const made = new Map(spec).set('key', key);
  const names = [...weights.keys()].sort();
  made.set('weights', new Map(names.map((name) => [name, new Int32(weights.get(name) ?? 1)])));
  return made
    .set('default_language', language)
    .set('language_override', override)
    .set('textIndexVersion', new Int32(VERSION));
}

function readWeights(given: Value | undefined, weights: Map<string, number>): void {
  if (given === undefined) return;
  if (given === WILDCARD) {
    weights.set(WILDCARD, 1);
    return;
  }
  if (!(given instanceof Map)) return refuse("text index option 'weights' must be an object");
  for (const [field, weight] of given) {
    if (!isNumber(weight)) return refuse('weight for text index needs numeric type');
    const number = Math.trunc(toNumber(weight));
    if (!(number > 0 && number < MAX_WEIGHT))
      refuse('text index weight must be in the exclusive interval (0,100000)');
    if (field === '' || (field.startsWith('$') && field !== WILDCARD))
      refuse(`weight for the field '${field}' is not allowed`);
    weights.set(field, number);
  }
}

function refuse(message: string): never {
  throw new StoreError('CannotCreateIndex', message);
}

/** The definition of a text index: its key with one 'text' in place of the text part, and its options. */
export interface TextDefinition {
  key: readonly (readonly [field: string, direction: 1 | -1 | 'text'])[];
  weights?: Document;
  default_language?: string;
  language_override?: string;
}

/** Compiles a text index. */
export function compileTextIndex(definition: TextDefinition): TextIndex {
  const at = definition.key.findIndex(([, direction]) => direction === 'text');
  const fields = definition.key.map(([field]) => field);
  const weights = new Map<string, number>();
  for (const [field, weight] of definition.weights ?? []) weights.set(field, toNumber(weight as Int32));
  const language = findLanguage(definition.default_language ?? 'english');
  if (language === undefined) throw new StoreError('InternalError', 'found invalid spec for text index');
  return {
    before: fields.slice(0, at),
    after: fields.slice(at + 1),
    weights,
    wildcard: weights.has(WILDCARD),
    language,
    languageField: definition.language_override ?? 'language',
  };
}
