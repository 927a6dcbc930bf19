import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient, type MongoClientOptions } from 'mongodb';
import { serve } from '../../src/serve';

/** A store in this process on a folder of its own, with a connected driver. */
export interface TestStore {
  dataDir: string;
  uri: string;
  client: MongoClient;
  /** Closes the store and opens it again on the same data. */
  reopen(): Promise<void>;
  close(): Promise<void>;
}

/** Starts a store in a new temporary folder; `errors` collects the unexpected errors of the store. */
export async function openTestStore(
  errors: unknown[] = [],
  options: MongoClientOptions = {},
): Promise<TestStore> {
  const dataDir = mkdtempSync(join(tmpdir(), 'parley-store-'));
  const open = async () => {
    const served = await serve({ dataDir, report: (error) => errors.push(error) });
    return { served, client: await new MongoClient(served.uri, options).connect() };
  };
  let current = await open();
  const store: TestStore = {
    dataDir,
    uri: current.served.uri,
    client: current.client,
    async reopen() {
      await current.client.close();
      await current.served.close();
      current = await open();
      store.client = current.client;
    },
    async close() {
      await current.client.close();
      await current.served.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  return store;
}
