import type { PageQuery } from '../models/kernel/common.model';
import type { JoinRequestService } from '../services/groups/join-request.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type MemberParams = GroupParams & { userId: string };

export function createJoinRequestsController(requests: JoinRequestService) {
  return {
    ask: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, { note: string }>): Promise<Reply> => {
      const { joinRequest, created } = await requests.ask(caller, params.groupId, body.note);
      return { status: created ? 201 : 200, body: { joinRequest } };
    },
    withdraw: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => {
      await requests.withdraw(caller, params.groupId);
      return { status: 204 };
    },
    list: async ({ caller, params, query }: CallerRequest<GroupParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await requests.list(caller, params.groupId, query);
      return { status: 200, body: { joinRequests: items, nextCursor } };
    },
    listMine: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await requests.listMine(caller, query);
      return { status: 200, body: { joinRequests: items, nextCursor } };
    },
    approve: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => ({
      status: 200,
      body: { member: await requests.approve(caller, params.groupId, params.userId) },
    }),
    reject: async ({
      caller,
      params,
      body,
    }: CallerRequest<MemberParams, undefined, { reason: string }>): Promise<Reply> => {
      await requests.reject(caller, params.groupId, params.userId, body.reason);
      return { status: 204 };
    },
  };
}
