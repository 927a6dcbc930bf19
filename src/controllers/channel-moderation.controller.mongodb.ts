import type { ChannelMemberParams, ChannelParams } from '../models/channel.model';
import type { RestrictInput, RestrictionsQuery } from '../models/moderation/channel-restriction.model';
import type { ChannelRestrictionService } from '../services/moderation/channel-restriction.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createChannelModerationController(restrictions: ChannelRestrictionService) {
  return {
    list: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: ChannelParams; query: RestrictionsQuery }>) => {
      const { items, nextCursor } = await restrictions.list(caller, params.channelId, query);
      return reply(200, { restrictions: items, nextCursor });
    },
    restrict: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelMemberParams; body: RestrictInput }>) =>
      reply(200, { restriction: await restrictions.restrict(caller, params.channelId, params.userId, body) }),
    lift: async ({ caller, params }: CallerRequest<{ params: ChannelMemberParams }>) => {
      await restrictions.lift(caller, params.channelId, params.userId);
      return reply(204);
    },
  };
}
