import type { ChannelSettingInput } from '../models/channels/channel-setting.model';
import type { MarkReadInput } from '../models/channels/channel-summary.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { HistoryQuery, RepliesQuery } from '../models/messages/history.model';
import type { ThreadsQuery } from '../models/messages/thread.model';
import type { ChannelSettingService } from '../services/channels/channel-setting.service';
import type { MessageHistory } from '../services/messages/message-history';
import type { ThreadService } from '../services/messages/thread.service';
import type { ReadReceipts } from '../services/reading/read-receipts';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };
type MessageParams = { messageId: string };

export interface MessageReadingServices {
  history: MessageHistory;
  threads: ThreadService;
  receipts: ReadReceipts;
  channelSettings: ChannelSettingService;
}

/** Reading messages, and what one wants to be told of them. */
export function createMessageReadingController({
  history,
  threads,
  receipts,
  channelSettings,
}: MessageReadingServices) {
  return {
    list: async ({ caller, params, query }: CallerRequest<ChannelParams, HistoryQuery>): Promise<Reply> => ({
      status: 200,
      body: await history.list(caller, params.channelId, query),
    }),
    get: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { message: await history.get(caller, params.messageId) },
    }),
    replies: async ({
      caller,
      params,
      query,
    }: CallerRequest<MessageParams, RepliesQuery>): Promise<Reply> => ({
      status: 200,
      body: await history.replies(caller, params.messageId, query),
    }),
    edits: async ({ caller, params, query }: CallerRequest<MessageParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await history.edits(caller, params.messageId, query);
      return { status: 200, body: { edits: items, nextCursor } };
    },
    seenBy: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { users: await receipts.seenBy(caller, params.messageId) },
    }),
    follow: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { thread: await threads.follow(caller, params.messageId) },
    }),
    unfollow: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { thread: await threads.unfollow(caller, params.messageId) },
    }),
    markThreadRead: async ({
      caller,
      params,
      body,
    }: CallerRequest<MessageParams, undefined, MarkReadInput>): Promise<Reply> => ({
      status: 200,
      body: { thread: await threads.markRead(caller, params.messageId, body) },
    }),
    listThreads: async ({ caller, query }: CallerRequest<undefined, ThreadsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await threads.list(caller, query);
      return { status: 200, body: { threads: items, nextCursor } };
    },
    getSetting: async ({ caller, params }: CallerRequest<ChannelParams>): Promise<Reply> => ({
      status: 200,
      body: { setting: await channelSettings.get(caller, params.channelId) },
    }),
    setSetting: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, ChannelSettingInput>): Promise<Reply> => ({
      status: 200,
      body: { setting: await channelSettings.set(caller, params.channelId, body) },
    }),
  };
}
