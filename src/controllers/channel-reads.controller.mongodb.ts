import type { ChannelParams } from '../models/channel.model';
import type { MarkReadInput, MarkUnreadInput } from '../models/channels/channel-summary.model';
import type { ChannelSummaries } from '../services/channels/channel-summaries';
import type { ReadService } from '../services/reading/read.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export interface ChannelReadsServices {
  channelSummaries: ChannelSummaries;
  reads: ReadService;
}

export function createChannelReadsController({ channelSummaries, reads }: ChannelReadsServices) {
  return {
    get: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { summary: await channelSummaries.get(caller, params.channelId) }),
    markRead: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: MarkReadInput }>) =>
      reply(200, { read: await reads.markRead(caller, params.channelId, body) }),
    markUnread: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: MarkUnreadInput }>) =>
      reply(200, { read: await reads.markUnread(caller, params.channelId, body) }),
  };
}
