import { createPresenceController } from '../controllers/presence.controller.mongodb';
import { channelParams } from '../models/channel.model';
import { presenceReply, presencesQuery, presencesReply } from '../models/presence/presence.model';
import { userParams } from '../models/user.model';
import type { PresenceService } from '../services/presence/presence.service';
import { callerRoute, type ApiRoute } from './api-route';

export function presenceRoutes(service: PresenceService): ApiRoute[] {
  const presence = createPresenceController(service);
  const tag = 'Presence';
  return [
    callerRoute({
      method: 'get',
      path: '/api/users/:userId/presence',
      operationId: 'getPresence',
      tag,
      summary: 'Whether a user is there. Takes a group or a direct conversation in common.',
      params: userParams,
      replies: { 200: { description: 'The user as others see them.', schema: presenceReply } },
      handle: presence.get,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/presence',
      operationId: 'listPresence',
      tag,
      summary: 'Who of those who read a channel is there. Whoever is not named is offline.',
      params: channelParams,
      query: presencesQuery,
      replies: { 200: { description: 'A page of people, by their ids.', schema: presencesReply } },
      handle: presence.inChannel,
    }),
  ];
}
