import type { PageQuery } from '../models/kernel/common.model';
import type { BanInput } from '../models/moderation/group-ban.model';
import type { GroupBanService } from '../services/moderation/group-ban.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type MemberParams = GroupParams & { userId: string };

export function createGroupBansController(bans: GroupBanService) {
  return {
    list: async ({ caller, params, query }: CallerRequest<GroupParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await bans.list(caller, params.groupId, query);
      return { status: 200, body: { bans: items, nextCursor } };
    },
    ban: async ({
      caller,
      params,
      body,
    }: CallerRequest<MemberParams, undefined, BanInput>): Promise<Reply> => ({
      status: 200,
      body: { ban: await bans.ban(caller, params.groupId, params.userId, body) },
    }),
    unban: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => {
      await bans.unban(caller, params.groupId, params.userId);
      return { status: 204 };
    },
  };
}
