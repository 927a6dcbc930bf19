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

/** What people put on messages: reactions, pins, bookmarks. */
export function messageMarkRoutes(services: MessageMarksServices): ApiRoute[] {
  const marks = createMessageMarksController(services);
  const tag = 'Messages';
  const currentMessage = { 200: { description: 'The message as it is now.', schema: messageReply } };
  return [
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/reactions/:emoji',
      operationId: 'addReaction',
      tag,
      summary: 'Put an emoji under a message. A second time changes nothing.',
      params: reactionParams,
      replies: currentMessage,
      handle: marks.react,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/reactions/:emoji',
      operationId: 'removeReaction',
      tag,
      summary: "Take one's emoji away. Where there is none, nothing changes.",
      params: reactionParams,
      replies: currentMessage,
      handle: marks.unreact,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/reactions/:emoji',
      operationId: 'listReactors',
      tag,
      summary: 'Who has put an emoji under a message.',
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
      summary: 'Pin a message: moderators in groups, everybody in direct messages.',
      params: messageParams,
      replies: currentMessage,
      handle: marks.pin,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/pin',
      operationId: 'unpinMessage',
      tag,
      summary: 'Unpin a message: moderators in groups, everybody in direct messages.',
      params: messageParams,
      replies: currentMessage,
      handle: marks.unpin,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/pins',
      operationId: 'listPins',
      tag,
      summary: 'The pinned messages of a channel, the last one pinned first.',
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
      summary: 'Bookmark a message, for oneself. A second time changes nothing.',
      params: messageParams,
      replies: { 200: { description: 'The bookmark.', schema: bookmarkReply } },
      handle: marks.addBookmark,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/bookmark',
      operationId: 'removeBookmark',
      tag,
      summary: 'Take a bookmark away. Where there is none, nothing changes.',
      params: messageParams,
      replies: { 200: { description: 'There is no bookmark.', schema: bookmarkRemoved } },
      handle: marks.removeBookmark,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/bookmarks',
      operationId: 'listBookmarks',
      tag,
      summary: "The caller's bookmarks of what they may read now, the newest first.",
      query: pageQuery,
      replies: { 200: { description: 'A page of bookmarks.', schema: bookmarksReply } },
      handle: marks.listBookmarks,
    }),
  ];
}
