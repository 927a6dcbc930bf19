import { Int32 } from 'bson';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Node } from '../query/ast';
import { compileCollation } from '../query/collation';
import { compileFilter } from '../query/matcher';
import { completeTextSpec } from '../text/text-index';
import { Arguments, numberOf } from './arguments';

const FIELDS = new Set(
  'v key name ns unique sparse partialFilterExpression expireAfterSeconds collation background hidden weights default_language language_override textIndexVersion dropDups storageEngine'.split(
    ' ',
  ),
);
const ID_INDEX_FIELDS = new Set(['collation', 'key', 'name', 'ns', 'v']);
const MAX_FIELDS = 32;
const TEXT_OPTIONS = ['weights', 'default_language', 'language_override', 'textIndexVersion'];
/** Seconds that MongoDB allows at most: what fits in a signed 32-bit number. */
const MAX_EXPIRE = 2 ** 31 - 1;

/**
 * Checks an index specification of createIndexes and completes it as listIndexes shows it.
 * `inherited` is the collation of the collection.
 */
export function readIndexSpec(spec: Document, inherited: Document | undefined): Document {
  const args = new Arguments(spec, 'createIndexes.indexes');
  for (const field of spec.keys()) {
    if (!FIELDS.has(field)) {
      throw new StoreError(
        'InvalidIndexSpecificationOption',
        `The field '${field}' is not valid for an index specification.`,
      );
    }
  }
  const key = readKey(args.document('key'));
  if (isIdKey(key)) checkIdIndex(spec);
  const result: Document = new Map<string, Value>([
    ['v', new Int32(2)],
    ['key', key],
    ['name', readName(args, key)],
  ]);
  if (args.boolean('unique')) result.set('unique', true);
  if (args.boolean('sparse')) result.set('sparse', true);
  if (args.boolean('hidden')) throw new StoreError('CommandNotSupported', 'hidden indexes are not supported');
  readPartial(args, result);
  readExpiry(args, key, result);
  const isText = [...key.values()].includes('text');
  const collation = compileCollation(args.document('collation') ?? (isText ? undefined : inherited));
  if (collation && isText) throw new StoreError('CannotCreateIndex', 'text indexes do not support collation');
  if (collation) result.set('collation', collation.spec);
  if (!isText) return result;
  for (const option of TEXT_OPTIONS) {
    const value = args.any(option);
    if (value !== undefined) result.set(option, value);
  }
  return completeTextSpec(result);
}

function checkIdIndex(spec: Document): void {
  for (const field of spec.keys()) {
    if (ID_INDEX_FIELDS.has(field)) continue;
    throw new StoreError(
      'InvalidIndexSpecificationOption',
      `The field '${field}' is not valid for an _id index specification.`,
    );
  }
}

function readKey(key: Document | undefined): Document {
  if (!key)
    throw new StoreError('FailedToParse', "The 'key' field is a required property of an index specification");
  if (key.size === 0) throw new StoreError('CannotCreateIndex', 'Index keys cannot be an empty object');
  if (key.size > MAX_FIELDS) throw new StoreError(13103, 'too many compound keys');
  for (const [field, order] of key) {
    if (field === '' || field.startsWith('.') || field.endsWith('.') || field.includes('..')) {
      throw new StoreError('CannotCreateIndex', `Index key contains an illegal field name: '${field}'`);
    }
    if (field.startsWith('$') && !field.startsWith('$**')) {
      throw new StoreError(
        'CannotCreateIndex',
        `Index key contains an illegal field name: field name starts with '$'.`,
      );
    }
    if (field.includes('$**') && !(field === '$**' && order === 'text'))
      throw new StoreError('CannotCreateIndex', 'wildcard indexes are not supported');
    checkOrder(field, order);
  }
  return key;
}

function checkOrder(field: string, order: Value): void {
  const number = numberOf(order);
  if (number !== undefined) {
    if (number === 0 || Number.isNaN(number)) {
      throw new StoreError(
        'CannotCreateIndex',
        `Values in the index key pattern cannot be 0. Field: ${field}`,
      );
    }
    return;
  }
  if (order === 'text') return;
  throw new StoreError(
    'CannotCreateIndex',
    typeof order === 'string'
      ? `Unknown index plugin '${order}'`
      : 'Values in v:2 index key pattern can only be numbers greater than 0, numbers less than 0, or strings',
  );
}

function readName(args: Arguments, key: Document): string {
  const name = args.string('name');
  if (name === undefined) {
    throw new StoreError(
      'FailedToParse',
      "The 'name' field is a required property of an index specification",
    );
  }
  if (name === '') throw new StoreError('CannotCreateIndex', 'index name cannot be empty');
  // The index on _id has a fixed name, whatever the command says.
  return isIdKey(key) ? '_id_' : name;
}

function isIdKey(key: Document): boolean {
  return key.size === 1 && numberOf(key.get('_id')) === 1;
}

function readPartial(args: Arguments, result: Document): void {
  const partial = args.document('partialFilterExpression');
  if (!partial) return;
  if (args.boolean('sparse')) {
    throw new StoreError('CannotCreateIndex', 'cannot mix "partialFilterExpression" and "sparse" options');
  }
  if (!isIndexable(compileFilter(partial, { text: false }).root)) {
    throw new StoreError('CannotCreateIndex', 'Expression not supported in partial index');
  }
  result.set('partialFilterExpression', partial);
}

const INDEXABLE = new Set(['compare', 'in', 'exists', 'type']);

/** Whether a partial index may have this filter (https://www.mongodb.com/docs/manual/core/index-partial/). */
function isIndexable(node: Node): boolean {
  if (node.kind === 'and' || node.kind === 'or') return node.children.every(isIndexable);
  if (node.kind !== 'leaf') return node.kind === 'always';
  const { predicate } = node;
  return INDEXABLE.has(predicate.kind) && !(predicate.kind === 'in' && predicate.regexes.length > 0);
}

function readExpiry(args: Arguments, key: Document, result: Document): void {
  const seconds = args.any('expireAfterSeconds');
  if (seconds === undefined) return;
  const number = numberOf(seconds);
  if (number === undefined)
    throw new StoreError('CannotCreateIndex', 'TTL index expireAfterSeconds must be numeric');
  if (number < 0 || number > MAX_EXPIRE) {
    throw new StoreError('CannotCreateIndex', 'TTL index expireAfterSeconds is out of range');
  }
  if (key.size > 1) {
    throw new StoreError(
      'CannotCreateIndex',
      'TTL indexes are single-field indexes, compound indexes do not support TTL',
    );
  }
  result.set('expireAfterSeconds', seconds);
}
