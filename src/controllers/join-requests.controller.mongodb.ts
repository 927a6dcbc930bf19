import type { AskToJoinInput, RejectJoinInput } from '../models/groups/join-request.model';
import type { GroupMemberParams, GroupParams } from '../models/group.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { JoinRequestService } from '../services/groups/join-request.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createJoinRequestsController(requests: JoinRequestService) {
  return {
    ask: async ({ caller, params, body }: CallerRequest<{ params: GroupParams; body: AskToJoinInput }>) => {
      const { joinRequest, created } = await requests.create(caller, params.groupId, body.note);
      return reply(created ? 201 : 200, { joinRequest });
    },
    withdraw: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) => {
      await requests.withdraw(caller, params.groupId);
      return reply(204);
    },
    list: async ({ caller, params, query }: CallerRequest<{ params: GroupParams; query: PageQuery }>) => {
      const { items, nextCursor } = await requests.list(caller, params.groupId, query);
      return reply(200, { joinRequests: items, nextCursor });
    },
    listMine: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await requests.listMine(caller, query);
      return reply(200, { joinRequests: items, nextCursor });
    },
    approve: async ({ caller, params }: CallerRequest<{ params: GroupMemberParams }>) =>
      reply(200, { member: await requests.approve(caller, params.groupId, params.userId) }),
    reject: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupMemberParams; body: RejectJoinInput }>) => {
      await requests.reject(caller, params.groupId, params.userId, body.reason);
      return reply(204);
    },
  };
}
