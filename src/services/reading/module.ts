import type { AccessModule } from '../access/module';
import type { Kernel } from '../kernel/module';
import type { OperationsModule } from '../operations/module';
import type { UsersModule } from '../users/module';
import { ReadCounts } from './read-counts';
import { ReadMarkers } from './read-markers';
import { ReadReceipts } from './read-receipts';
import { ReadVerifier } from './read-verifier';
import { ReadService } from './read.service';

export type ReadingModule = ReturnType<typeof createReading>;

export function createReading(
  kernel: Kernel,
  { access, rights }: AccessModule,
  { users }: UsersModule,
  { errors }: OperationsModule,
) {
  const { collections, transactions, bus, lifecycle, jobs } = kernel;
  const markers = new ReadMarkers(collections);
  const counts = new ReadCounts(collections, markers);
  const receipts = new ReadReceipts(collections, access, users, bus, rights, jobs);
  lifecycle.register('read receipts', receipts);
  return {
    markers,
    counts,
    reads: new ReadService(transactions, access, markers, counts, bus),
    readVerifier: new ReadVerifier({ ...kernel, access, markers, counts, errors }),
    receipts,
  };
}
