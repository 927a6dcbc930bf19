import * as os from 'node:os';
import { MongoClient, type MongoClientOptions } from 'mongodb';

/**
 * A client of the official driver, not yet connected. The driver would load `os` by a dynamic import to describe
 * itself in its handshake. Under Jest that import fails, the driver sends an empty description, and MongoDB refuses
 * the connection (code 183). So the module is handed over.
 */
export function createMongoClient(uri: string, options: MongoClientOptions = {}): MongoClient {
  return new MongoClient(uri, { runtimeAdapters: { os }, ...options });
}
