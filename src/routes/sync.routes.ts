import { createSyncController, type SyncServices } from '../controllers/sync.controller.mongodb';
import { unreadTotals, verification } from '../models/channels/channel-summary.model';
import { syncInput, syncReply } from '../models/catch-up/sync.model';
import { callerRoute, type ApiRoute } from './api-route';

/** By which clients come back to the state of the server, and make sure that they have. */
export function syncRoutes(services: SyncServices): ApiRoute[] {
  const sync = createSyncController(services);
  const tag = 'Client';
  return [
    callerRoute({
      method: 'post',
      path: '/api/client/sync',
      operationId: 'sync',
      tag,
      summary: "What has happened in the caller's channels since the revisions that they know.",
      body: syncInput,
      // It takes a body for its length alone. A replay would show what the caller may not read any more.
      reads: true,
      replies: { 200: { description: 'As much of it as fits, in order.', schema: syncReply } },
      handle: sync.sync,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/unread',
      operationId: 'getUnread',
      tag,
      summary: 'What the caller has not read: in all, by group and by channel.',
      replies: { 200: { description: 'The counts.', schema: unreadTotals } },
      handle: sync.unread,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/verify',
      operationId: 'verifyUnread',
      tag,
      summary: 'Recount what the caller has not read, message by message, and repair what is wrong.',
      replies: { 200: { description: 'What was found: no drift, ever.', schema: verification } },
      handle: sync.verify,
    }),
  ];
}
