import type { ChannelsQuery, CreateChannelInput, UpdateChannelInput } from '../models/channel.model';
import type { ChannelService } from '../services/channel.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };
type MemberParams = ChannelParams & { userId: string };

export function createChannelsController(channels: ChannelService) {
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
    addMember: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, { userId: string }>): Promise<Reply> => {
      await channels.addMember(caller, params.channelId, body.userId);
      return { status: 204 };
    },
    removeMember: async ({ caller, params }: CallerRequest<MemberParams>): Promise<Reply> => {
      await channels.removeMember(caller, params.channelId, params.userId);
      return { status: 204 };
    },
  };
}
