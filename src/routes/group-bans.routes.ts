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
      summary: 'List the users who are banned from a group. Requires the role moderator in the group.',
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
        'Ban a user from a group, whether a member or not, until a given time or indefinitely. Requires the role moderator in the group, and a higher role than that of the user.',
      params: groupMemberParams,
      body: banInput,
      replies: {
        200: {
          description: 'The ban. The user no longer receives events of the group.',
          schema: groupBanReply,
        },
      },
      handle: bans.ban,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/groups/:groupId/bans/:userId',
      operationId: 'unbanFromGroup',
      tag,
      summary: 'Lift a ban from a group. Requires the role moderator in the group.',
      params: groupMemberParams,
      replies: { 204: { description: 'The ban was lifted.' } },
      handle: bans.unban,
    }),
  ];
}
