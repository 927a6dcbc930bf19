import type { ReactionParams } from '../models/messages/reaction.model';
import type { ChannelParams } from '../models/channel.model';
import type { MessageParams } from '../models/message.model';
import type { PageQuery } from '../models/kernel/common.model';
import type { PinsQuery } from '../models/messages/pin.model';
import type { BookmarkService } from '../services/messages/bookmark.service';
import type { PinService } from '../services/messages/pin.service';
import type { ReactionService } from '../services/messages/reaction.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export interface MessageMarksServices {
  reactions: ReactionService;
  pins: PinService;
  bookmarks: BookmarkService;
}

/** Reactions, pins and bookmarks. */
export function createMessageMarksController({ reactions, pins, bookmarks }: MessageMarksServices) {
  return {
    react: async ({ caller, params }: CallerRequest<{ params: ReactionParams }>) =>
      reply(200, { message: await reactions.add(caller, params.messageId, params.emoji) }),
    unreact: async ({ caller, params }: CallerRequest<{ params: ReactionParams }>) =>
      reply(200, { message: await reactions.remove(caller, params.messageId, params.emoji) }),
    listReactors: async ({
      caller,
      params,
      query,
    }: CallerRequest<{ params: ReactionParams; query: PageQuery }>) => {
      const { items, nextCursor } = await reactions.list(caller, params.messageId, params.emoji, query);
      return reply(200, { users: items, nextCursor });
    },
    pin: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { message: await pins.pin(caller, params.messageId) }),
    unpin: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { message: await pins.unpin(caller, params.messageId) }),
    listPins: async ({ caller, params, query }: CallerRequest<{ params: ChannelParams; query: PinsQuery }>) =>
      reply(200, await pins.list(caller, params.channelId, query)),
    addBookmark: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { bookmark: await bookmarks.add(caller, params.messageId) }),
    removeBookmark: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, await bookmarks.remove(caller, params.messageId)),
    listBookmarks: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await bookmarks.list(caller, query);
      return reply(200, { bookmarks: items, nextCursor });
    },
  };
}
