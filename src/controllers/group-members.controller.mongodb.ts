import type {
  AddMemberInput,
  ChangeMemberRoleInput,
  GroupMemberParams,
  GroupParams,
  MembersQuery,
  TransferGroupInput,
} from '../models/group.model';
import type { GroupMemberService } from '../services/groups/group-member.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createGroupMembersController(members: GroupMemberService) {
  return {
    join: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, { group: await members.join(caller, params.groupId) }),
    leave: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) => {
      await members.leave(caller, params.groupId);
      return reply(204);
    },
    list: async ({ caller, params, query }: CallerRequest<{ params: GroupParams; query: MembersQuery }>) => {
      const { items, nextCursor } = await members.list(caller, params.groupId, query);
      return reply(200, { members: items, nextCursor });
    },
    add: async ({ caller, params, body }: CallerRequest<{ params: GroupParams; body: AddMemberInput }>) => {
      const { member, added } = await members.add(caller, params.groupId, body.userId);
      return reply(added ? 201 : 200, { member });
    },
    remove: async ({ caller, params }: CallerRequest<{ params: GroupMemberParams }>) => {
      await members.remove(caller, params.groupId, params.userId);
      return reply(204);
    },
    changeRole: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupMemberParams; body: ChangeMemberRoleInput }>) =>
      reply(200, { member: await members.changeRole(caller, params.groupId, params.userId, body.role) }),
    transfer: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupParams; body: TransferGroupInput }>) =>
      reply(200, { group: await members.transfer(caller, params.groupId, body.userId) }),
  };
}
