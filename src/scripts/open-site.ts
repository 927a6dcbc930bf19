import { loadConfig, type Config } from '../config/env.config';
import { collectionsOf } from '../db/collections';
import { connectDatabase, type Connection } from '../db/mongodb';
import { createTransactions } from '../db/transaction';
import { AuditService } from '../services/audit/audit.service';
import { encryptionKeyIdOf } from '../services/backup/module';
import { createStorage } from '../services/files/module';

/** The database and the files of the configured site, without any change to either. */
export interface Site extends ReturnType<typeof createStorage> {
  config: Config;
  connection: Connection;
  audit: AuditService;
  encryptionKeyId: string;
  close(): Promise<void>;
}

/**
 * Opens the configured site. The database may be of an older version, or empty: no indexes are created, and no migration runs.
 * @param attach whether to use the embedded store of a running server.
 */
export async function openSite(attach: boolean): Promise<Site> {
  const config = loadConfig();
  const connection = await connectDatabase({ ...config.database, dataDir: config.dataDir, attach });
  try {
    const collections = collectionsOf(connection.db, () => undefined);
    const transactions = await createTransactions(connection.client);
    return {
      config,
      connection,
      audit: new AuditService(collections, transactions),
      encryptionKeyId: encryptionKeyIdOf(config.encryptionKey),
      ...createStorage(config.uploadDir, collections),
      close: () => connection.close(),
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}
