import type { MarkReadInput } from '../models/channel-summary.model';
import type { ChannelSummaries } from '../services/channel-summaries';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };

export function createChannelReadsController(summaries: ChannelSummaries) {
  return {
    get: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { summary: await summaries.get(caller, params.channelId) },
    }),
    markRead: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, MarkReadInput>): Promise<Reply> => ({
      status: 200,
      body: { read: await summaries.markRead(caller, params.channelId, body) },
    }),
  };
}
