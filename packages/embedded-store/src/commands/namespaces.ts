import type { Value } from '../bson/types';
import { StoreError } from '../errors';
import type { Collection } from '../storage/catalog';
import type { CommandContext } from './command';

/** A collection by its name. */
export interface Namespace {
  database: string;
  name: string;
}

const MAX_NAMESPACE_BYTES = 255;
const MAX_DATABASE_BYTES = 63;

/** Refuses names of databases that MongoDB refuses (manual: limits, naming restrictions). */
export function checkDatabaseName(name: string): void {
  if (name === '' || Buffer.byteLength(name) > MAX_DATABASE_BYTES || /[/\\. "$\0]/.test(name)) {
    throw new StoreError('InvalidNamespace', `Invalid database name: '${name}'`);
  }
}

/** Refuses names of collections that MongoDB refuses. */
export function checkCollectionName(database: string, name: string): void {
  const bad =
    name === '' || name.startsWith('.') || name.endsWith('.') || name.includes('\0') || name.includes('$');
  if (bad) throw new StoreError('InvalidNamespace', `Invalid namespace specified '${database}.${name}'`);
  if (Buffer.byteLength(`${database}.${name}`) > MAX_NAMESPACE_BYTES) {
    throw new StoreError('InvalidNamespace', `Fully qualified namespace is too long: ${database}.${name}`);
  }
}

/** The collection name in the first field of a command. Throws InvalidNamespace if it is not valid. */
export function collectionName(context: CommandContext, field: string): string {
  const name: Value | undefined = context.args.any(field);
  if (typeof name !== 'string') {
    throw new StoreError('InvalidNamespace', `collection name has invalid type for ${field}`);
  }
  checkDatabaseName(context.database);
  checkCollectionName(context.database, name);
  return name;
}

/** The collection of this name, in a transaction or with a held snapshot as that sees it. */
export function findCollection(context: CommandContext, name: string): Collection | undefined {
  const { engine, transaction, held, database } = context;
  if (held) return engine.catalog.findSince(database, name, held.catalogVersion);
  return transaction ? transaction.find(database, name) : engine.catalog.find(database, name);
}
