import { Int32 } from 'bson';
import { encode } from '../bson/codec';
import { equalValues } from '../bson/compare';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collection, IndexState } from '../storage/catalog';
import { buildIndexes } from '../storage/index-build';
import type { WriteSteps } from '../storage/writer';
import { hasTextKey } from '../text/text-index';
import type { Command } from './command';
import { existing } from './collections';
import { documentCursor } from './document-cursor';
import { readIndexSpec } from './index-spec';
import { collectionName } from './namespaces';
import { TimeSlice } from './reading';

const CREATE_FIELDS = new Set(['createIndexes', 'indexes', 'commitQuorum', 'ignoreUnknownIndexOptions']);

/** https://www.mongodb.com/docs/manual/reference/command/createIndexes/ */
export const createIndexesCommand: Command = {
  async run(context) {
    const { args, engine, database } = context;
    args.allow(CREATE_FIELDS);
    const name = collectionName(context, 'createIndexes');
    const asked = args.documents('indexes') ?? [];
    if (asked.length === 0) throw new StoreError('BadValue', 'Must specify at least one index to create');
    const inherited = engine.catalog.find(database, name)?.options.get('collation');
    const specs = asked.map((spec) => readIndexSpec(spec, inherited instanceof Map ? inherited : undefined));
    const reply: Document = new Map();
    const prepare = () => {
      const known = engine.catalog.find(database, name);
      const before = known?.indexes.length ?? 1;
      const missing = specs.filter((spec) => !known || !findEqual(known, spec));
      checkTextIndexes(known?.indexes.map(({ spec }) => spec) ?? [], missing);
      const collection = known ?? engine.catalog.create(database, name, new Map());
      reply.set('numIndexesBefore', new Int32(before));
      reply.set('numIndexesAfter', new Int32(before + missing.length));
      reply.set('createdCollectionAutomatically', known === undefined);
      if (missing.length === 0) reply.set('note', 'all indexes already exist');
      return { collection, specs: missing };
    };
    await buildIndexes(engine, { database, name }, prepare, new TimeSlice(context.operation));
    return reply;
  },
};

/** Refuses a second text index: $text cannot name one of them. */
function checkTextIndexes(present: readonly Document[], added: readonly Document[]): void {
  const isText = (spec: Document): boolean => hasTextKey(spec.get('key') as Document);
  const count = [...present, ...added].filter(isText).length;
  if (count > 1 && added.some(isText)) {
    throw new StoreError('CannotCreateIndex', 'only one text index per collection allowed');
  }
}

/**
 * Whether the collection has this index already. Throws IndexOptionsConflict or IndexKeySpecsConflict when one with
 * its name or key differs.
 */
function findEqual(collection: Collection, spec: Document): boolean {
  for (const index of collection.indexes) {
    const sameName = index.spec.get('name') === spec.get('name');
    const sameKey =
      equalValues(index.spec.get('key'), spec.get('key')) &&
      equalValues(index.spec.get('collation') ?? null, spec.get('collation') ?? null) &&
      equalValues(
        index.spec.get('partialFilterExpression') ?? null,
        spec.get('partialFilterExpression') ?? null,
      );
    if (!sameName && !sameKey) continue;
    const name = index.compiled.definition.name;
    if (sameKey && !sameOptions(index.spec, spec)) {
      throw new StoreError(
        'IndexOptionsConflict',
        `Index with name: ${name} already exists with different options`,
      );
    }
    if (!sameKey) {
      throw new StoreError(
        'IndexKeySpecsConflict',
        `An existing index has the same name as the requested index. When index names are not specified, they are auto generated and can cause conflicts. Please refer to our documentation. Requested index: ${name}`,
      );
    }
    return true;
  }
  return false;
}

function sameOptions(a: Document, b: Document): boolean {
  const options = [
    'unique',
    'sparse',
    'expireAfterSeconds',
    'weights',
    'default_language',
    'language_override',
  ];
  return options.every((field) => equalValues(a.get(field) ?? null, b.get(field) ?? null));
}

/** https://www.mongodb.com/docs/manual/reference/command/listIndexes/ */
export const listIndexesCommand: Command = {
  run(context) {
    const name = collectionName(context, 'listIndexes');
    const collection = existing(context, name);
    const specs = collection.indexes.filter(({ building }) => !building).map(({ spec }) => encode(spec));
    return documentCursor(context, `${context.database}.${name}`, specs);
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/dropIndexes/ */
export const dropIndexesCommand: Command = {
  async run(context) {
    const { args, engine } = context;
    const name = collectionName(context, args.name);
    const wanted = args.any('index');
    return engine.writer.submit(function* (): WriteSteps<Document> {
      yield* [];
      const collection = existing(context, name);
      const before = collection.indexes.length;
      const doomed = wanted === '*' ? collection.indexes.slice(1) : named(collection, wanted);
      for (const index of doomed) engine.catalog.removeIndex(collection, index);
      const error = new StoreError('QueryPlanKilled', 'index dropped');
      engine.cursors.kill((cursor) => cursor.namespace === `${context.database}.${name}`, error);
      const reply: Document = new Map<string, Value>([['nIndexesWas', new Int32(before)]]);
      if (wanted === '*') reply.set('msg', 'non-_id indexes dropped for collection');
      return reply;
    });
  },
};

function named(collection: Collection, wanted: Value | undefined): IndexState[] {
  if (Array.isArray(wanted)) return wanted.flatMap((one) => named(collection, one));
  if (typeof wanted !== 'string' && !(wanted instanceof Map)) {
    throw new StoreError('TypeMismatch', "BSON field 'dropIndexes.index' is the wrong type");
  }
  const found = collection.indexes.find(({ spec }) =>
    typeof wanted === 'string' ? spec.get('name') === wanted : equalValues(spec.get('key'), wanted),
  );
  if (!found) {
    const shown = typeof wanted === 'string' ? `name [${wanted}]` : 'key';
    throw new StoreError('IndexNotFound', `index not found with ${shown}`);
  }
  if (found === collection.indexes[0]) throw new StoreError('InvalidOptions', 'cannot drop _id index');
  return [found];
}
