import type { Services } from '../context';
import type { SyncInput } from '../models/catch-up/sync.model';
import type { CallerRequest, Reply } from './controller.types';

export function createSyncController({ sync, reads, readVerifier }: Services) {
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
