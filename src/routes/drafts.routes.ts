import { createDraftsController } from '../controllers/drafts.controller.mongodb';
import { channelParams } from '../models/channel.model';
import { pageQuery } from '../models/kernel/common.model';
import { draftQuery, draftReply, draftsReply, saveDraftInput } from '../models/writing/draft.model';
import type { DraftService } from '../services/writing/draft.service';
import { callerRoute, type ApiRoute } from './api-route';

export function draftRoutes(service: DraftService): ApiRoute[] {
  const drafts = createDraftsController(service);
  const tag = 'Client';
  return [
    callerRoute({
      method: 'get',
      path: '/api/client/drafts',
      operationId: 'listDrafts',
      tag,
      summary: "List the caller's drafts in channels that they may read.",
      query: pageQuery,
      replies: { 200: { description: 'A page of drafts.', schema: draftsReply } },
      handle: drafts.list,
    }),
    callerRoute({
      method: 'put',
      path: '/api/client/drafts/:channelId',
      operationId: 'saveDraft',
      tag,
      summary: "Save the caller's draft in a channel or thread, for all of their devices.",
      params: channelParams,
      query: draftQuery,
      body: saveDraftInput,
      replies: { 200: { description: 'The draft.', schema: draftReply } },
      handle: drafts.save,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/drafts/:channelId',
      operationId: 'deleteDraft',
      tag,
      summary: "Delete the caller's draft in a channel or thread. Without a draft it has no effect.",
      params: channelParams,
      query: draftQuery,
      replies: { 204: { description: 'There is no draft any more.' } },
      handle: drafts.remove,
    }),
  ];
}
