import type { Kernel } from '../kernel/module';
import { IdempotencyService } from './idempotency.service';
import { KeyRecords } from './key-records';

export function createIdempotency(
  { collections, transactions, logger }: Kernel,
  settings: { encryptionKey: string },
) {
  const records = new KeyRecords(collections);
  return { idempotency: new IdempotencyService(records, transactions, settings.encryptionKey, logger) };
}
