import type { PageQuery } from '../models/kernel/common.model';
import type {
  CreateGroupInput,
  DiscoverGroupsQuery,
  GroupParams,
  UpdateGroupInput,
} from '../models/group.model';
import type { GroupService } from '../services/group.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createGroupsController(groups: GroupService) {
  return {
    create: async ({ caller, body }: CallerRequest<{ body: CreateGroupInput }>) =>
      reply(201, { group: await groups.create(caller, body) }),
    listMine: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await groups.listMine(caller, query);
      return reply(200, { groups: items, nextCursor });
    },
    discover: async ({ caller, query }: CallerRequest<{ query: DiscoverGroupsQuery }>) => {
      const { items, nextCursor } = await groups.discover(caller, query);
      return reply(200, { groups: items, nextCursor });
    },
    get: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, { group: await groups.get(caller, params.groupId) }),
    update: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupParams; body: UpdateGroupInput }>) =>
      reply(200, { group: await groups.update(caller, params.groupId, body) }),
    archive: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, { group: await groups.archive(caller, params.groupId) }),
    restore: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, { group: await groups.restore(caller, params.groupId) }),
    delete: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) => {
      await groups.delete(caller, params.groupId);
      return reply(204);
    },
  };
}
