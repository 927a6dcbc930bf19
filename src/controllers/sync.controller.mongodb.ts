import type { SyncInput } from '../models/catch-up/sync.model';
import type { SyncService } from '../services/catch-up/sync.service';
import type { ReadVerifier } from '../services/reading/read-verifier';
import type { ReadService } from '../services/reading/read.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export interface SyncServices {
  sync: SyncService;
  reads: ReadService;
  readVerifier: ReadVerifier;
}

export function createSyncController({ sync, reads, readVerifier }: SyncServices) {
  return {
    sync: async ({ caller, body }: CallerRequest<{ body: SyncInput }>) =>
      reply(200, await sync.sync(caller, body)),
    unread: async ({ caller }: CallerRequest) => reply(200, await reads.totals(caller)),
    verify: async ({ caller }: CallerRequest) => reply(200, await readVerifier.verify(caller)),
  };
}
