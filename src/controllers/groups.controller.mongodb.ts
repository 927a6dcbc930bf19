import type { PageQuery } from '../models/kernel/common.model';
import type { CreateGroupInput, DiscoverGroupsQuery, UpdateGroupInput } from '../models/group.model';
import type { GroupService } from '../services/group.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };

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
    discover: async ({ caller, query }: CallerRequest<undefined, DiscoverGroupsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await groups.discover(caller, query);
      return { status: 200, body: { groups: items, nextCursor } };
    },
    get: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await groups.get(caller, params.groupId) },
    }),
    update: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, UpdateGroupInput>): Promise<Reply> => ({
      status: 200,
      body: { group: await groups.update(caller, params.groupId, body) },
    }),
    archive: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await groups.archive(caller, params.groupId) },
    }),
    restore: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await groups.restore(caller, params.groupId) },
    }),
    delete: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => {
      await groups.delete(caller, params.groupId);
      return { status: 204 };
    },
  };
}
