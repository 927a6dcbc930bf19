import type { UserParams } from '../models/user.model';
import type { ChannelParams } from '../models/channel.model';
import type { PresencesQuery } from '../models/presence/presence.model';
import type { PresenceService } from '../services/presence/presence.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createPresenceController(presence: PresenceService) {
  return {
    get: async ({ caller, params }: CallerRequest<{ params: UserParams }>) =>
      reply(200, { presence: await presence.get(caller, params.userId) }),
    inChannel: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: ChannelParams; query: PresencesQuery }>) => {
      const { items, nextCursor } = await presence.inChannel(caller, params.channelId, query);
      return reply(200, { presences: items, nextCursor });
    },
  };
}
