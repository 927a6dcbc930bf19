import type { AdminChannelsQuery, AdminGroupsQuery } from '../models/admin/admin-group.model';
import type { AdminGroupService } from '../services/admin/admin-groups.service';
import type { CallerRequest, Reply } from './controller.types';

type GroupParams = { groupId: string };
type ChannelParams = { channelId: string };

export function createAdminGroupsController(adminGroups: AdminGroupService) {
  return {
    list: async ({ caller, query }: CallerRequest<undefined, AdminGroupsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await adminGroups.list(caller, query);
      return { status: 200, body: { groups: items, nextCursor } };
    },
    inspect: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: await adminGroups.inspect(caller, params.groupId),
    }),
    archive: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await adminGroups.archive(caller, params.groupId) },
    }),
    restore: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => ({
      status: 200,
      body: { group: await adminGroups.restore(caller, params.groupId) },
    }),
    transfer: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, { userId: string }>): Promise<Reply> => ({
      status: 200,
      body: { group: await adminGroups.transfer(caller, params.groupId, body.userId) },
    }),
    delete: async ({ caller, params }: CallerRequest<GroupParams>): Promise<Reply> => {
      await adminGroups.delete(caller, params.groupId);
      return { status: 204 };
    },
    listChannels: async ({ caller, query }: CallerRequest<undefined, AdminChannelsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await adminGroups.listChannels(caller, query);
      return { status: 200, body: { channels: items, nextCursor } };
    },
    inspectChannel: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: await adminGroups.inspectChannel(caller, params.channelId),
    }),
    archiveChannel: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { channel: await adminGroups.archiveChannel(caller, params.channelId) },
    }),
    restoreChannel: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { channel: await adminGroups.restoreChannel(caller, params.channelId) },
    }),
    transferChannel: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, { userId: string }>): Promise<Reply> => ({
      status: 200,
      body: { channel: await adminGroups.transferChannel(caller, params.channelId, body.userId) },
    }),
    deleteChannel: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => {
      await adminGroups.deleteChannel(caller, params.channelId);
      return { status: 204 };
    },
  };
}
