import {
  createMessageMarksController,
  type MessageMarksServices,
} from '../controllers/message-marks.controller.mongodb';
import { bookmarkRemoved, bookmarkReply, bookmarksReply } from '../models/messages/bookmark.model';
import { channelParams } from '../models/channel.model';
import { pageQuery } from '../models/kernel/common.model';
import { messageParams, messageReply } from '../models/message.model';
import { pinsQuery, pinsReply } from '../models/messages/pin.model';
import { reactionParams, reactorsReply } from '../models/messages/reaction.model';
import { callerRoute, type ApiRoute } from './api-route';

/** Reactions, pins and bookmarks. */
export function messageMarkRoutes(services: MessageMarksServices): ApiRoute[] {
  const marks = createMessageMarksController(services);
  const tag = 'Messages';
  const currentMessage = { 200: { description: 'The message after the change.', schema: messageReply } };
  return [
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/reactions/:emoji',
      operationId: 'addReaction',
      tag,
      summary: 'Add a reaction to a message. Repeating it has no effect.',
      params: reactionParams,
      replies: currentMessage,
      handle: marks.react,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/reactions/:emoji',
      operationId: 'removeReaction',
      tag,
      summary: "Remove the caller's reaction from a message. Without such a reaction it has no effect.",
      params: reactionParams,
      replies: currentMessage,
      handle: marks.unreact,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/reactions/:emoji',
      operationId: 'listReactors',
      tag,
      summary: 'List the users who reacted to a message with an emoji.',
      params: reactionParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of users.', schema: reactorsReply } },
      handle: marks.listReactors,
    }),
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/pin',
      operationId: 'pinMessage',
      tag,
      summary:
        'Pin a message. Requires the role moderator in the group; in direct messages every participant may do it.',
      params: messageParams,
      replies: currentMessage,
      handle: marks.pin,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/pin',
      operationId: 'unpinMessage',
      tag,
      summary:
        'Unpin a message. Requires the role moderator in the group; in direct messages every participant may do it.',
      params: messageParams,
      replies: currentMessage,
      handle: marks.unpin,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/pins',
      operationId: 'listPins',
      tag,
      summary: 'List the pinned messages of a channel, most recently pinned first.',
      params: channelParams,
      query: pinsQuery,
      replies: { 200: { description: 'A page of messages.', schema: pinsReply } },
      handle: marks.listPins,
    }),
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/bookmark',
      operationId: 'addBookmark',
      tag,
      summary: 'Bookmark a message for the caller. Repeating it has no effect.',
      params: messageParams,
      replies: { 200: { description: 'The bookmark.', schema: bookmarkReply } },
      handle: marks.addBookmark,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/bookmark',
      operationId: 'removeBookmark',
      tag,
      summary: 'Remove a bookmark of the caller. Without a bookmark it has no effect.',
      params: messageParams,
      replies: { 200: { description: 'The bookmark was removed.', schema: bookmarkRemoved } },
      handle: marks.removeBookmark,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/bookmarks',
      operationId: 'listBookmarks',
      tag,
      summary: "List the caller's bookmarks of messages that they may currently read, newest first.",
      query: pageQuery,
      replies: { 200: { description: 'A page of bookmarks.', schema: bookmarksReply } },
      handle: marks.listBookmarks,
    }),
  ];
}
