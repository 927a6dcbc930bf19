import type { SyncInput } from '../models/catch-up/sync.model';
import type { SyncService } from '../services/catch-up/sync.service';
import type { ReadVerifier } from '../services/reading/read-verifier';
import type { ReadService } from '../services/reading/read.service';
import type { CallerRequest, Reply } from './controller.types';

export interface SyncServices {
  sync: SyncService;
  reads: ReadService;
  readVerifier: ReadVerifier;
}

export function createSyncController({ sync, reads, readVerifier }: SyncServices) {
  return {
    sync: async ({ caller, body }: CallerRequest<undefined, undefined, SyncInput>): Promise<Reply> => ({
      status: 200,
      body: await sync.sync(caller, body),
    }),
    unread: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: await reads.totals(caller),
    }),
    verify: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: await readVerifier.verify(caller),
    }),
  };
}
