import { createSyncController, type SyncServices } from '../controllers/sync.controller.mongodb';
import { unreadTotals, verification } from '../models/channels/channel-summary.model';
import { syncInput, syncReply } from '../models/catch-up/sync.model';
import { callerRoute, type ApiRoute } from './api-route';

/** The routes by which clients catch up with the server and verify their state. */
export function syncRoutes(services: SyncServices): ApiRoute[] {
  const sync = createSyncController(services);
  const tag = 'Client';
  return [
    callerRoute({
      method: 'post',
      path: '/api/client/sync',
      operationId: 'sync',
      tag,
      summary: "Get the changes of the caller's channels since the revisions that the client knows.",
      body: syncInput,
      // It has a body only because of its length. A replayed answer could show what the caller may no longer read.
      reads: true,
      replies: { 200: { description: 'The changes in order, up to the limit.', schema: syncReply } },
      handle: sync.sync,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/unread',
      operationId: 'getUnread',
      tag,
      summary: "Get the caller's unread counts: in total, by group and by channel.",
      replies: { 200: { description: 'The counts.', schema: unreadTotals } },
      handle: sync.unread,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/verify',
      operationId: 'verifyUnread',
      tag,
      summary: "Recount the caller's unread messages one by one, and correct wrong counts.",
      replies: { 200: { description: 'The result. `drift` should always be empty.', schema: verification } },
      handle: sync.verify,
    }),
  ];
}
