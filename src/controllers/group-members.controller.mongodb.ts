import type { GroupRole, MembersQuery } from '../models/group.model';
import type { GroupMemberService } from '../services/groups/group-member.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type MemberParams = GroupParams & { userId: string };

export function createGroupMembersController(members: GroupMemberService) {
  return {
    join: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await members.join(caller, params.groupId) },
    }),
    leave: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => {
      await members.leave(caller, params.groupId);
      return { status: 204 };
    },
    list: async ({ caller, params, query }: CallerRequest<GroupParams, MembersQuery>): Promise<Reply> => {
      const { items, nextCursor } = await members.list(caller, params.groupId, query);
      return { status: 200, body: { members: items, nextCursor } };
    },
    add: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, { userId: string }>): Promise<Reply> => {
      const { member, added } = await members.add(caller, params.groupId, body.userId);
      return { status: added ? 201 : 200, body: { member } };
    },
    remove: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => {
      await members.remove(caller, params.groupId, params.userId);
      return { status: 204 };
    },
    changeRole: async ({
      caller,
      params,
      body,
    }: CallerRequest<MemberParams, undefined, { role: GroupRole }>): Promise<Reply> => ({
      status: 200,
      body: { member: await members.changeRole(caller, params.groupId, params.userId, body.role) },
    }),
    transfer: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, { userId: string }>): Promise<Reply> => ({
      status: 200,
      body: { group: await members.transfer(caller, params.groupId, body.userId) },
    }),
  };
}
