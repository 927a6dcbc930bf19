import type { ChannelParams } from '../models/channel.model';
import type { MessageParams } from '../models/message.model';
import type { ChannelSettingInput } from '../models/channels/channel-setting.model';
import type { MarkReadInput } from '../models/channels/channel-summary.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { HistoryQuery, RepliesQuery } from '../models/messages/history.model';
import type { ThreadsQuery } from '../models/messages/thread.model';
import type { ChannelSettingService } from '../services/channels/channel-setting.service';
import type { MessageHistory } from '../services/messages/message-history';
import type { ThreadService } from '../services/messages/thread.service';
import type { ReadReceipts } from '../services/reading/read-receipts';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export interface MessageReadingServices {
  history: MessageHistory;
  threads: ThreadService;
  receipts: ReadReceipts;
  channelSettings: ChannelSettingService;
}

/** Reading messages, threads and read receipts, and notification settings of channels. */
export function createMessageReadingController({
  history,
  threads,
  receipts,
  channelSettings,
}: MessageReadingServices) {
  return {
    list: async ({ caller, params, query }: CallerRequest<{ params: ChannelParams; query: HistoryQuery }>) =>
      reply(200, await history.list(caller, params.channelId, query)),
    get: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { message: await history.get(caller, params.messageId) }),
    replies: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: MessageParams; query: RepliesQuery }>) =>
      reply(200, await history.replies(caller, params.messageId, query)),
    edits: async ({ caller, params, query }: CallerRequest<{ params: MessageParams; query: PageQuery }>) => {
      const { items, nextCursor } = await history.edits(caller, params.messageId, query);
      return reply(200, { edits: items, nextCursor });
    },
    seenBy: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { users: await receipts.seenBy(caller, params.messageId) }),
    follow: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { thread: await threads.follow(caller, params.messageId) }),
    unfollow: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { thread: await threads.unfollow(caller, params.messageId) }),
    markThreadRead: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: MessageParams; body: MarkReadInput }>) =>
      reply(200, { thread: await threads.markRead(caller, params.messageId, body) }),
    listThreads: async ({ caller, query }: CallerRequest<{ query: ThreadsQuery }>) => {
      const { items, nextCursor } = await threads.list(caller, query);
      return reply(200, { threads: items, nextCursor });
    },
    getSetting: async ({ caller, params }: CallerRequest<{ params: ChannelParams }>) =>
      reply(200, { setting: await channelSettings.get(caller, params.channelId) }),
    setSetting: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: ChannelSettingInput }>) =>
      reply(200, { setting: await channelSettings.set(caller, params.channelId, body) }),
  };
}
