import { createChannelModerationController } from '../controllers/channel-moderation.controller.mongodb';
import {
  restrictInput,
  restrictionReply,
  restrictionsQuery,
  restrictionsReply,
} from '../models/moderation/channel-restriction.model';
import { channelMemberParams, channelParams } from '../models/channel.model';
import type { ChannelRestrictionService } from '../services/moderation/channel-restriction.service';
import { callerRoute, type ApiRoute } from './api-route';

export function channelModerationRoutes(service: ChannelRestrictionService): ApiRoute[] {
  const moderation = createChannelModerationController(service);
  const tag = 'Channels';
  return [
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/restrictions',
      operationId: 'listChannelRestrictions',
      tag,
      summary: 'List the mutes and bans in a channel. Requires the role moderator in the group.',
      params: channelParams,
      query: restrictionsQuery,
      replies: { 200: { description: 'A page of current restrictions.', schema: restrictionsReply } },
      handle: moderation.list,
    }),
    callerRoute({
      method: 'put',
      path: '/api/channels/:channelId/restrictions/:userId',
      operationId: 'restrictChannelMember',
      tag,
      summary:
        'Mute a user in a channel or ban them from it. This replaces a previous restriction. Requires the role moderator in the group, and a higher role than that of the user.',
      params: channelMemberParams,
      body: restrictInput,
      replies: { 200: { description: 'The current restriction.', schema: restrictionReply } },
      handle: moderation.restrict,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/channels/:channelId/restrictions/:userId',
      operationId: 'liftChannelRestriction',
      tag,
      summary:
        'Lift a mute or a ban in a channel. Requires the role moderator in the group, and a higher role than that of the user.',
      params: channelMemberParams,
      replies: { 204: { description: 'The restriction was lifted.' } },
      handle: moderation.lift,
    }),
  ];
}
