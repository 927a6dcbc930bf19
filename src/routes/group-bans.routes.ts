import { createGroupBansController } from '../controllers/group-bans.controller.mongodb';
import { pageQuery } from '../models/kernel/common.model';
import { banInput, groupBanReply, groupBansReply } from '../models/moderation/group-ban.model';
import { groupMemberParams, groupParams } from '../models/group.model';
import type { GroupBanService } from '../services/moderation/group-ban.service';
import { callerRoute, type ApiRoute } from './api-route';

export function groupBanRoutes(service: GroupBanService): ApiRoute[] {
  const bans = createGroupBansController(service);
  const tag = 'Groups';
  return [
    callerRoute({
      method: 'get',
      path: '/api/groups/:groupId/bans',
      operationId: 'listGroupBans',
      tag,
      summary: 'Who is banned from a group. Takes the role moderator.',
      params: groupParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of bans.', schema: groupBansReply } },
      handle: bans.list,
    }),
    callerRoute({
      method: 'put',
      path: '/api/groups/:groupId/bans/:userId',
      operationId: 'banFromGroup',
      tag,
      summary:
        'Ban a user, member or not, until a time or for good. Takes the role moderator, and one above theirs.',
      params: groupMemberParams,
      body: banInput,
      replies: {
        200: { description: 'The ban. The user hears nothing more of the group.', schema: groupBanReply },
      },
      handle: bans.ban,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/bans/:userId',
      operationId: 'unbanFromGroup',
      tag,
      summary: 'End a ban. Takes the role moderator.',
      params: groupMemberParams,
      replies: { 204: { description: 'The user may come in again.' } },
      handle: bans.unban,
    }),
  ];
}
