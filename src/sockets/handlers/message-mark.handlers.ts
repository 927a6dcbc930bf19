import type { ChannelSettingService } from '../../services/channels/channel-setting.service';
import type { BookmarkService } from '../../services/messages/bookmark.service';
import type { PinService } from '../../services/messages/pin.service';
import type { ReactionService } from '../../services/messages/reaction.service';
import type { ThreadService } from '../../services/messages/thread.service';
import type { Handlers } from './handler.types';

interface MessageMarkServices {
  reactions: ReactionService;
  pins: PinService;
  bookmarks: BookmarkService;
  threads: ThreadService;
  channelSettings: ChannelSettingService;
}

/** Handles events for reactions, pins, bookmarks, followed threads and notification settings. */
export function messageMarkHandlers({
  reactions,
  pins,
  bookmarks,
  threads,
  channelSettings,
}: MessageMarkServices): Pick<
  Handlers,
  | 'message:react'
  | 'message:unreact'
  | 'message:pin'
  | 'message:unpin'
  | 'message:bookmark'
  | 'message:unbookmark'
  | 'thread:follow'
  | 'thread:unfollow'
  | 'thread:mark_read'
  | 'channel:set_notifications'
> {
  return {
    'message:react': async (caller, { messageId, emoji }) => ({
      message: await reactions.add(caller, messageId, emoji),
    }),
    'message:unreact': async (caller, { messageId, emoji }) => ({
      message: await reactions.remove(caller, messageId, emoji),
    }),
    'message:pin': async (caller, { messageId }) => ({ message: await pins.pin(caller, messageId) }),
    'message:unpin': async (caller, { messageId }) => ({ message: await pins.unpin(caller, messageId) }),
    'message:bookmark': async (caller, { messageId }) => ({
      bookmark: await bookmarks.add(caller, messageId),
    }),
    'message:unbookmark': (caller, { messageId }) => bookmarks.remove(caller, messageId),
    'thread:follow': async (caller, { messageId }) => ({ thread: await threads.follow(caller, messageId) }),
    'thread:unfollow': async (caller, { messageId }) => ({
      thread: await threads.unfollow(caller, messageId),
    }),
    'thread:mark_read': async (caller, { messageId, ...input }) => ({
      thread: await threads.markRead(caller, messageId, input),
    }),
    'channel:set_notifications': async (caller, { channelId, ...input }) => ({
      setting: await channelSettings.set(caller, channelId, input),
    }),
  };
}
