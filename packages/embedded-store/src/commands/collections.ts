import { Int32, Long } from 'bson';
import { encode } from '../bson/codec';
import type { Document, Value } from '../bson/types';
import { StoreError } from '../errors';
import { compileCollation } from '../query/collation';
import { compileFilter } from '../query/matcher';
import type { Collection } from '../storage/catalog';
import { namespaceOf } from '../storage/catalog';
import type { WriteSteps } from '../storage/writer';
import type { Command, CommandContext } from './command';
import { checkCollectionName, checkDatabaseName, collectionName } from './namespaces';
import { EMPTY } from './reading';
import { documentCursor } from './document-cursor';

const CREATE_FIELDS = new Set(
  'create validator validationLevel validationAction collation idIndex capped size max autoIndexId indexOptionDefaults storageEngine viewOn pipeline timeseries expireAfterSeconds encryptedFields clusteredIndex changeStreamPreAndPostImages temp'.split(
    ' ',
  ),
);
/** Options that change the meaning of a collection and are not supported. */
const REFUSED = ['viewOn', 'timeseries', 'expireAfterSeconds', 'encryptedFields', 'clusteredIndex'];
const KEPT = ['validator', 'validationLevel', 'validationAction', 'collation'];

/** https://www.mongodb.com/docs/manual/reference/command/create/ */
export const createCommand: Command = {
  async run(context) {
    const { args, engine, database } = context;
    args.allow(CREATE_FIELDS);
    const name = collectionName(context, 'create');
    for (const field of REFUSED) {
      if (args.has(field))
        throw new StoreError('CommandNotSupported', `create option '${field}' is not supported`);
    }
    if (args.boolean('capped'))
      throw new StoreError('CommandNotSupported', 'capped collections are not supported');
    const options: Document = new Map();
    for (const field of KEPT) {
      const value = args.any(field);
      if (value !== undefined) options.set(field, value);
    }
    checkValidation(options);
    const collation = compileCollation(args.document('collation'));
    if (collation) options.set('collation', collation.spec);
    else options.delete('collation');
    return engine.writer.submit(function* (): WriteSteps<Document> {
      yield* [];
      if (engine.catalog.find(database, name)) {
        throw new StoreError('NamespaceExists', `Collection ${database}.${name} already exists.`);
      }
      engine.catalog.create(database, name, options);
      return new Map();
    });
  },
};

/** Refuses validators that cannot be compiled, and unknown levels. */
export function checkValidation(options: Document): void {
  const validator = options.get('validator');
  if (validator !== undefined) {
    if (!(validator instanceof Map)) throw new StoreError('TypeMismatch', "'validator' must be an object");
    compileFilter(validator, { text: false });
  }
  checkChoice(options, 'validationLevel', ['off', 'strict', 'moderate']);
  checkChoice(options, 'validationAction', ['error', 'warn']);
}

function checkChoice(options: Document, field: string, choices: string[]): void {
  const value = options.get(field);
  if (value === undefined || (typeof value === 'string' && choices.includes(value))) return;
  throw new StoreError('BadValue', `Field '${field}' must be one of ${choices.join(', ')}`);
}

/** The error of a command on a collection that does not exist. */
export function namespaceNotFound(namespace: string): StoreError {
  return new StoreError('NamespaceNotFound', `ns not found ${namespace}`);
}

/** The collection of this name. Throws NamespaceNotFound. */
export function existing(context: CommandContext, name: string): Collection {
  const { engine, database } = context;
  const collection = engine.catalog.find(database, name);
  if (!collection) throw namespaceNotFound(`${database}.${name}`);
  return collection;
}

/** Removes collections and closes the cursors on them. To be called inside the writer. */
function dropInWriter(context: CommandContext, collections: Collection[]): void {
  const { engine } = context;
  for (const collection of collections) {
    const namespace = namespaceOf(collection);
    engine.catalog.drop(collection);
    const error = new StoreError('QueryPlanKilled', `collection dropped: ${namespace}`);
    engine.cursors.kill((cursor) => cursor.namespace === namespace, error);
  }
}

/** https://www.mongodb.com/docs/manual/reference/command/drop/ */
export const dropCommand: Command = {
  async run(context) {
    const name = collectionName(context, 'drop');
    return context.engine.writer.submit(function* (): WriteSteps<Document> {
      yield* [];
      const collection = existing(context, name);
      const indexes = collection.indexes.length;
      dropInWriter(context, [collection]);
      return new Map<string, Value>([
        ['nIndexesWas', new Int32(indexes)],
        ['ns', `${context.database}.${name}`],
      ]);
    });
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/dropDatabase/ */
export const dropDatabaseCommand: Command = {
  async run(context) {
    const { engine, database } = context;
    return engine.writer.submit(function* (): WriteSteps<Document> {
      yield* [];
      const collections = engine.catalog.collections(database);
      dropInWriter(context, collections);
      return new Map<string, Value>(collections.length > 0 ? [['dropped', database]] : []);
    });
  },
};

/** https://www.mongodb.com/docs/manual/reference/command/renameCollection/ */
export const renameCollectionCommand: Command = {
  adminOnly: true,
  async run(context) {
    const { args, engine } = context;
    const [fromDatabase, fromName] = splitNamespace(args.requiredString('renameCollection'));
    const [toDatabase, toName] = splitNamespace(args.requiredString('to'));
    const dropTarget = args.boolean('dropTarget');
    return engine.writer.submit(function* (): WriteSteps<Document> {
      yield* [];
      const source = engine.catalog.find(fromDatabase, fromName);
      if (!source) {
        throw new StoreError(
          'NamespaceNotFound',
          `Source collection ${fromDatabase}.${fromName} does not exist`,
        );
      }
      const target = engine.catalog.find(toDatabase, toName);
      if (source === target) throw new StoreError('IllegalOperation', "Can't rename a collection to itself");
      if (target && !dropTarget) throw new StoreError('NamespaceExists', 'target namespace exists');
      if (target) dropInWriter(context, [target]);
      engine.catalog.rename(source, toDatabase, toName);
      const error = new StoreError('QueryPlanKilled', 'collection renamed');
      engine.cursors.kill((cursor) => cursor.namespace === `${fromDatabase}.${fromName}`, error);
      return new Map();
    });
  },
};

function splitNamespace(namespace: string): [string, string] {
  const dot = namespace.indexOf('.');
  const database = dot < 0 ? namespace : namespace.slice(0, dot);
  const name = dot < 0 ? '' : namespace.slice(dot + 1);
  checkDatabaseName(database);
  checkCollectionName(database, name);
  return [database, name];
}

/** https://www.mongodb.com/docs/manual/reference/command/listCollections/ */
export const listCollectionsCommand: Command = {
  run(context) {
    const { args, engine, database } = context;
    const filter = compileFilter(args.document('filter') ?? EMPTY);
    const nameOnly = args.boolean('nameOnly');
    const infos = engine.catalog
      .collections(database)
      .map((collection) => collectionInfo(collection, nameOnly))
      .filter((info) => filter.matches(info));
    return documentCursor(context, `${database}.$cmd.listCollections`, infos.map(encode));
  },
};

function collectionInfo(collection: Collection, nameOnly: boolean): Document {
  const info: Document = new Map<string, Value>([
    ['name', collection.name],
    ['type', 'collection'],
  ]);
  if (nameOnly) return info;
  info.set('options', collection.options);
  info.set(
    'info',
    new Map<string, Value>([
      ['readOnly', false],
      ['uuid', collection.uuid],
    ]),
  );
  const idIndex = collection.indexes[0]?.spec;
  if (idIndex) info.set('idIndex', idIndex);
  return info;
}

/** https://www.mongodb.com/docs/manual/reference/command/listDatabases/ */
export const listDatabasesCommand: Command = {
  adminOnly: true,
  run({ args, engine }) {
    const nameOnly = args.boolean('nameOnly');
    const filter = compileFilter(args.document('filter') ?? EMPTY);
    let total = 0;
    const databases: Document[] = [];
    for (const name of engine.catalog.databaseNames()) {
      const size = engine.catalog.collections(name).reduce((sum, collection) => sum + collection.size, 0);
      const info: Document = new Map<string, Value>([['name', name]]);
      if (!nameOnly) info.set('sizeOnDisk', Long.fromNumber(size)).set('empty', size === 0);
      if (!filter.matches(info)) continue;
      databases.push(info);
      total += size;
    }
    const reply: Document = new Map<string, Value>([['databases', databases]]);
    if (!nameOnly) reply.set('totalSize', Long.fromNumber(total));
    return reply;
  },
};
