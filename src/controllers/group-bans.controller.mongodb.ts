import type { GroupMemberParams, GroupParams } from '../models/group.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { BanInput } from '../models/moderation/group-ban.model';
import type { GroupBanService } from '../services/moderation/group-ban.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createGroupBansController(bans: GroupBanService) {
  return {
    list: async ({ caller, params, query }: CallerRequest<{ params: GroupParams; query: PageQuery }>) => {
      const { items, nextCursor } = await bans.list(caller, params.groupId, query);
      return reply(200, { bans: items, nextCursor });
    },
    ban: async ({ caller, params, body }: CallerRequest<{ params: GroupMemberParams; body: BanInput }>) =>
      reply(200, { ban: await bans.ban(caller, params.groupId, params.userId, body) }),
    unban: async ({ caller, params }: CallerRequest<{ params: GroupMemberParams }>) => {
      await bans.unban(caller, params.groupId, params.userId);
      return reply(204);
    },
  };
}
