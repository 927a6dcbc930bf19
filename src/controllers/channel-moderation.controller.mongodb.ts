import type { RestrictInput, RestrictionsQuery } from '../models/moderation/channel-restriction.model';
import type { ChannelRestrictionService } from '../services/moderation/channel-restriction.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };
type MemberParams = ChannelParams & { userId: string };

export function createChannelModerationController(restrictions: ChannelRestrictionService) {
  return {
    list: async ({
      caller,
      params,
      query,
    }: CallerRequest<ChannelParams, RestrictionsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await restrictions.list(caller, params.channelId, query);
      return { status: 200, body: { restrictions: items, nextCursor } };
    },
    restrict: async ({
      caller,
      params,
      body,
    }: CallerRequest<MemberParams, undefined, RestrictInput>): Promise<Reply> => ({
      status: 200,
      body: { restriction: await restrictions.restrict(caller, params.channelId, params.userId, body) },
    }),
    lift: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => {
      await restrictions.lift(caller, params.channelId, params.userId);
      return { status: 204 };
    },
  };
}
