import type { SyncService } from '../../services/catch-up/sync.service';
import type { ReadService } from '../../services/reading/read.service';
import type { Handlers } from './handler.types';

/** Handles events that synchronise a client, and that move read markers. */
export function syncHandlers(
  sync: SyncService,
  reads: ReadService,
): Pick<Handlers, 'sync' | 'channel:mark_read' | 'channel:mark_unread'> {
  return {
    sync: (caller, input) => sync.sync(caller, input),
    'channel:mark_read': async (caller, { channelId, seq }) => ({
      read: await reads.markRead(caller, channelId, { seq }),
    }),
    'channel:mark_unread': async (caller, { channelId, seq }) => ({
      read: await reads.markUnread(caller, channelId, { seq }),
    }),
  };
}
