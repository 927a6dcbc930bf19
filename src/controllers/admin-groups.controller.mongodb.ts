import type { ChannelParams, TransferChannelInput } from '../models/channel.model';
import type { GroupParams } from '../models/group.model';
import type {
  AdminChannelsQuery,
  AdminGroupsQuery,
  TransferGroupInput,
} from '../models/admin/admin-group.model';
import type { AdminGroupService } from '../services/admin/admin-groups.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createAdminGroupsController(adminGroups: AdminGroupService) {
  return {
    list: async ({ caller, query }: CallerRequest<{ query: AdminGroupsQuery }>) => {
      const { items, nextCursor } = await adminGroups.list(caller, query);
      return reply(200, { groups: items, nextCursor });
    },
    inspect: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, await adminGroups.inspect(caller, params.groupId)),
    archive: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, { group: await adminGroups.archive(caller, params.groupId) }),
    restore: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) =>
      reply(200, { group: await adminGroups.restore(caller, params.groupId) }),
    transfer: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupParams; body: TransferGroupInput }>) =>
      reply(200, { group: await adminGroups.transfer(caller, params.groupId, body.userId) }),
    delete: async ({ caller, params }: CallerRequest<{ params: GroupParams }>) => {
      await adminGroups.delete(caller, params.groupId);
      return reply(204);
    },
    listChannels: async ({ caller, query }: CallerRequest<{ query: AdminChannelsQuery }>) => {
      const { items, nextCursor } = await adminGroups.listChannels(caller, query);
      return reply(200, { channels: items, nextCursor });
    },
    inspectChannel: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, await adminGroups.inspectChannel(caller, params.channelId)),
    archiveChannel: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { channel: await adminGroups.archiveChannel(caller, params.channelId) }),
    restoreChannel: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { channel: await adminGroups.restoreChannel(caller, params.channelId) }),
    transferChannel: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: TransferChannelInput }>) =>
      reply(200, { channel: await adminGroups.transferChannel(caller, params.channelId, body.userId) }),
    deleteChannel: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) => {
      await adminGroups.deleteChannel(caller, params.channelId);
      return reply(204);
    },
  };
}
