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
      summary: 'Get the presence of a user. Requires a group or direct conversation in common.',
      params: userParams,
      replies: { 200: { description: 'The presence of the user.', schema: presenceReply } },
      handle: presence.get,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/presence',
      operationId: 'listPresence',
      tag,
      summary:
        'List the presence of the readers of a channel. Users who are not listed are offline. Requires permission to read the channel.',
      params: channelParams,
      query: presencesQuery,
      replies: { 200: { description: 'A page of presences, sorted by user id.', schema: presencesReply } },
      handle: presence.inChannel,
    }),
  ];
}
