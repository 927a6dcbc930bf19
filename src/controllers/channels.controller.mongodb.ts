import type { ChannelOrderInput, DefaultChannelInput } from '../models/channels/channel-order.model';
import type { ChannelsQuery, CreateChannelInput, UpdateChannelInput } from '../models/channel.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { ChannelMembershipService } from '../services/channels/channel-membership.service';
import type { ChannelOrderService } from '../services/channels/channel-order.service';
import type { ChannelService } from '../services/channel.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };
type GroupParams = { groupId: string };
type MemberParams = ChannelParams & { userId: string };

export interface ChannelsServices {
  channels: ChannelService;
  membership: ChannelMembershipService;
  order: ChannelOrderService;
}

export function createChannelsController({ channels, membership, order }: ChannelsServices) {
  return {
    create: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, CreateChannelInput>): Promise<Reply> => ({
      status: 201,
      body: { channel: await channels.create(caller, body) },
    }),
    list: async ({ caller, query }: CallerRequest<undefined, ChannelsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await channels.list(caller, query);
      return { status: 200, body: { channels: items, nextCursor } };
    },
    get: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { channel: await channels.get(caller, params.channelId) },
    }),
    update: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, UpdateChannelInput>): Promise<Reply> => ({
      status: 200,
      body: { channel: await channels.update(caller, params.channelId, body) },
    }),
    remove: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => {
      await channels.delete(caller, params.channelId);
      return { status: 204 };
    },
    archive: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { channel: await channels.archive(caller, params.channelId) },
    }),
    restore: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { channel: await channels.restore(caller, params.channelId) },
    }),
    listMembers: async ({
      caller,
      params,
      query,
    }: CallerRequest<ChannelParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await membership.list(caller, params.channelId, query);
      return { status: 200, body: { members: items, nextCursor } };
    },
    addMember: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, { userId: string }>): Promise<Reply> => {
      await membership.add(caller, params.channelId, body.userId);
      return { status: 204 };
    },
    removeMember: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => {
      await membership.remove(caller, params.channelId, params.userId);
      return { status: 204 };
    },
    transfer: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, { userId: string }>): Promise<Reply> => ({
      status: 200,
      body: { channel: await membership.transfer(caller, params.channelId, body.userId) },
    }),
    arrange: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, ChannelOrderInput>): Promise<Reply> => ({
      status: 200,
      body: { channels: await order.arrange(caller, params.groupId, body) },
    }),
    setDefault: async ({
      caller,
      params,
      body,
    }: CallerRequest<GroupParams, undefined, DefaultChannelInput>): Promise<Reply> => ({
      status: 200,
      body: { group: await order.setDefault(caller, params.groupId, body) },
    }),
  };
}
