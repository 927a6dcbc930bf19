import type { PresencesQuery } from '../models/presence/presence.model';
import type { PresenceService } from '../services/presence/presence.service';
import type { CallerRequest, Reply } from './controller.types';

export function createPresenceController(presence: PresenceService) {
  return {
    get: async ({ caller, params }: CallerRequest<{ userId: string }>): Promise<Reply> => ({
      status: 200,
      body: { presence: await presence.get(caller, params.userId) },
    }),
    inChannel: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ channelId: string }, PresencesQuery>): Promise<Reply> => {
      const { items, nextCursor } = await presence.inChannel(caller, params.channelId, query);
      return { status: 200, body: { presences: items, nextCursor } };
    },
  };
}
