import type { MarkReadInput, MarkUnreadInput } from '../models/channels/channel-summary.model';
import type { ChannelSummaries } from '../services/channels/channel-summaries';
import type { ReadService } from '../services/reading/read.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };

export interface ChannelReadsServices {
  channelSummaries: ChannelSummaries;
  reads: ReadService;
}

export function createChannelReadsController({ channelSummaries, reads }: ChannelReadsServices) {
  return {
    get: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { summary: await channelSummaries.get(caller, params.channelId) },
    }),
    markRead: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, MarkReadInput>): Promise<Reply> => ({
      status: 200,
      body: { read: await reads.markRead(caller, params.channelId, body) },
    }),
    markUnread: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, MarkUnreadInput>): Promise<Reply> => ({
      status: 200,
      body: { read: await reads.markUnread(caller, params.channelId, body) },
    }),
  };
}
