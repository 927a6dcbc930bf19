import type { PageQuery } from '../models/common.model';
import type { CreateGroupInput } from '../models/group.model';
import type { GroupService } from '../services/group.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type MemberParams = GroupParams & { userId: string };

export function createGroupsController(groups: GroupService) {
  return {
    create: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, CreateGroupInput>): Promise<Reply> => ({
      status: 201,
      body: { group: await groups.create(caller, body) },
    }),
    listMine: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await groups.listMine(caller, query);
      return { status: 200, body: { groups: items, nextCursor } };
    },
    get: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await groups.get(caller, params.groupId) },
    }),
    join: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await groups.join(caller, params.groupId) },
    }),
    leave: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => {
      await groups.leave(caller, params.groupId);
      return { status: 204 };
    },
    listMembers: async ({ caller, params, query }: CallerRequest<GroupParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await groups.listMembers(caller, params.groupId, query);
      return { status: 200, body: { members: items, nextCursor } };
    },
    addMember: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, { userId: string }>): Promise<Reply> => {
      const { member, added } = await groups.addMember(caller, params.groupId, body.userId);
      return { status: added ? 201 : 200, body: { member } };
    },
    removeMember: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => {
      await groups.removeMember(caller, params.groupId, params.userId);
      return { status: 204 };
    },
  };
}
