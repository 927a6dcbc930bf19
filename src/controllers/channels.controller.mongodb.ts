import type { AddMemberInput, GroupParams } from '../models/group.model';
import type { ChannelOrderInput, DefaultChannelInput } from '../models/channels/channel-order.model';
import type {
  ChannelMemberParams,
  ChannelParams,
  ChannelsQuery,
  CreateChannelInput,
  TransferChannelInput,
  UpdateChannelInput,
} from '../models/channel.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { ChannelMembershipService } from '../services/channels/channel-membership.service';
import type { ChannelOrderService } from '../services/channels/channel-order.service';
import type { ChannelService } from '../services/channel.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export interface ChannelsServices {
  channels: ChannelService;
  membership: ChannelMembershipService;
  order: ChannelOrderService;
}

export function createChannelsController({ channels, membership, order }: ChannelsServices) {
  return {
    create: async ({ caller, body }: CallerRequest<{ body: CreateChannelInput }>) =>
      reply(201, { channel: await channels.create(caller, body) }),
    list: async ({ caller, query }: CallerRequest<{ query: ChannelsQuery }>) => {
      const { items, nextCursor } = await channels.list(caller, query);
      return reply(200, { channels: items, nextCursor });
    },
    get: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { channel: await channels.get(caller, params.channelId) }),
    update: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: UpdateChannelInput }>) =>
      reply(200, { channel: await channels.update(caller, params.channelId, body) }),
    remove: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) => {
      await channels.delete(caller, params.channelId);
      return reply(204);
    },
    archive: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { channel: await channels.archive(caller, params.channelId) }),
    restore: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { channel: await channels.restore(caller, params.channelId) }),
    listMembers: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: ChannelParams; query: PageQuery }>) => {
      const { items, nextCursor } = await membership.list(caller, params.channelId, query);
      return reply(200, { members: items, nextCursor });
    },
    addMember: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: AddMemberInput }>) => {
      await membership.add(caller, params.channelId, body.userId);
      return reply(204);
    },
    removeMember: async ({ caller, params }: CallerRequest<{ params: ChannelMemberParams }>) => {
      await membership.remove(caller, params.channelId, params.userId);
      return reply(204);
    },
    transfer: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: TransferChannelInput }>) =>
      reply(200, { channel: await membership.transfer(caller, params.channelId, body.userId) }),
    arrange: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupParams; body: ChannelOrderInput }>) =>
      reply(200, { channels: await order.arrange(caller, params.groupId, body) }),
    setDefault: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: GroupParams; body: DefaultChannelInput }>) =>
      reply(200, { group: await order.setDefault(caller, params.groupId, body) }),
  };
}
