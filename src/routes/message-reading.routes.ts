import {
  createMessageReadingController,
  type MessageReadingServices,
} from '../controllers/message-reading.controller.mongodb';
import { channelSettingInput, channelSettingReply } from '../models/channels/channel-setting.model';
import { markReadInput } from '../models/channels/channel-summary.model';
import { channelParams } from '../models/channel.model';
import { pageQuery } from '../models/kernel/common.model';
import { historyQuery, messagesReply, repliesQuery } from '../models/messages/history.model';
import { messageEditsReply } from '../models/messages/message-edit.model';
import { messageParams, messageReply } from '../models/message.model';
import { receiptsReply } from '../models/reading/receipt.model';
import { threadFollowReply, threadsQuery, threadsReply } from '../models/messages/thread.model';
import { callerRoute, type ApiRoute } from './api-route';

/** Reading messages, and what one wants to be told of them. */
export function messageReadingRoutes(services: MessageReadingServices): ApiRoute[] {
  const reading = createMessageReadingController(services);
  const tag = 'Messages';
  const page = { 200: { description: 'A page of messages.', schema: messagesReply } };
  const follow = { 200: { description: 'How the caller follows it now.', schema: threadFollowReply } };
  const setting = { 200: { description: 'The setting.', schema: channelSettingReply } };
  return [
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/messages',
      operationId: 'listMessages',
      tag,
      summary: 'A page of history: newest first; oldest first with `after`, and around a message or a time.',
      params: channelParams,
      query: historyQuery,
      replies: page,
      handle: reading.list,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId',
      operationId: 'getMessage',
      tag,
      summary: 'A message: its `channelId` and `seq` lead to what is around it.',
      params: messageParams,
      replies: { 200: { description: 'The message.', schema: messageReply } },
      handle: reading.get,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/replies',
      operationId: 'listReplies',
      tag,
      summary: 'A page of the replies in a thread: newest first, or oldest first with `after`.',
      params: messageParams,
      query: repliesQuery,
      replies: page,
      handle: reading.replies,
    }),
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/follow',
      operationId: 'followThread',
      tag,
      summary: 'Follow the thread of a message. What is in it counts as read.',
      params: messageParams,
      replies: follow,
      handle: reading.follow,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/follow',
      operationId: 'unfollowThread',
      tag,
      summary: 'Follow the thread of a message no more.',
      params: messageParams,
      replies: follow,
      handle: reading.unfollow,
    }),
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/thread-read',
      operationId: 'markThreadRead',
      tag,
      summary: 'Say up to which message the caller has read the thread of a message. It never moves back.',
      params: messageParams,
      body: markReadInput,
      replies: { 200: { description: 'Where the marker is now.', schema: threadFollowReply } },
      handle: reading.markThreadRead,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/threads',
      operationId: 'listThreads',
      tag,
      summary: 'The threads that the caller follows and may read now, with what is unread, the latest first.',
      query: threadsQuery,
      replies: { 200: { description: 'A page of threads.', schema: threadsReply } },
      handle: reading.listThreads,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/edits',
      operationId: 'listMessageEdits',
      tag,
      summary: 'What a message said before it was edited, the latest first. For moderators of the group.',
      params: messageParams,
      query: pageQuery,
      replies: { 200: { description: 'A page of former texts.', schema: messageEditsReply } },
      handle: reading.edits,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/seen-by',
      operationId: 'listSeenBy',
      tag,
      summary: 'Who has seen a message, in direct messages and channels of at most 50 people.',
      params: messageParams,
      replies: { 200: { description: 'Those who let others know, at most 50.', schema: receiptsReply } },
      handle: reading.seenBy,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/notification-setting',
      operationId: 'getChannelSetting',
      tag: 'Channels',
      summary: 'What the caller wants to be told of in a channel.',
      params: channelParams,
      replies: setting,
      handle: reading.getSetting,
    }),
    callerRoute({
      method: 'put',
      path: '/api/channels/:channelId/notification-setting',
      operationId: 'setChannelSetting',
      tag: 'Channels',
      summary: 'Say what to be told of in a channel, on all devices.',
      params: channelParams,
      body: channelSettingInput,
      replies: setting,
      handle: reading.setSetting,
    }),
  ];
}
