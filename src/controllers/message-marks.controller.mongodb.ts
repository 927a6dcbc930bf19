import type { PageQuery } from '../models/kernel/common.model';
import type { PinsQuery } from '../models/messages/pin.model';
import type { BookmarkService } from '../services/messages/bookmark.service';
import type { PinService } from '../services/messages/pin.service';
import type { ReactionService } from '../services/messages/reaction.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };
type MessageParams = { messageId: string };
type ReactionParams = { messageId: string; emoji: string };

export interface MessageMarksServices {
  reactions: ReactionService;
  pins: PinService;
  bookmarks: BookmarkService;
}

/** What people put on messages: reactions, pins, bookmarks. */
export function createMessageMarksController({ reactions, pins, bookmarks }: MessageMarksServices) {
  return {
    react: async ({ caller, params }: CallerRequest<ReactionParams>): Promise<Reply> => ({
      status: 200,
      body: { message: await reactions.add(caller, params.messageId, params.emoji) },
    }),
    unreact: async ({ caller, params }: CallerRequest<ReactionParams>): Promise<Reply> => ({
      status: 200,
      body: { message: await reactions.remove(caller, params.messageId, params.emoji) },
    }),
    listReactors: async ({
      caller,
      params,
      query,
    }: CallerRequest<ReactionParams, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await reactions.list(caller, params.messageId, params.emoji, query);
      return { status: 200, body: { users: items, nextCursor } };
    },
    pin: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { message: await pins.pin(caller, params.messageId) },
    }),
    unpin: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { message: await pins.unpin(caller, params.messageId) },
    }),
    listPins: async ({ caller, params, query }: CallerRequest<ChannelParams, PinsQuery>): Promise<Reply> => ({
      status: 200,
      body: await pins.list(caller, params.channelId, query),
    }),
    addBookmark: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { bookmark: await bookmarks.add(caller, params.messageId) },
    }),
    removeBookmark: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: await bookmarks.remove(caller, params.messageId),
    }),
    listBookmarks: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await bookmarks.list(caller, query);
      return { status: 200, body: { bookmarks: items, nextCursor } };
    },
  };
}
