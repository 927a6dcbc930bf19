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

/** Reading messages, threads and read receipts, and notification settings of channels. */
export function messageReadingRoutes(services: MessageReadingServices): ApiRoute[] {
  const reading = createMessageReadingController(services);
  const tag = 'Messages';
  const page = { 200: { description: 'A page of messages.', schema: messagesReply } };
  const follow = {
    200: { description: 'Whether the caller now follows the thread.', schema: threadFollowReply },
  };
  const setting = { 200: { description: 'The setting.', schema: channelSettingReply } };
  return [
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/messages',
      operationId: 'listMessages',
      tag,
      summary:
        'List the messages of a channel: newest first, or oldest first with `after`, `around` or `at`.',
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
      summary: 'Get a message. List the messages around it with its `channelId` and `seq`.',
      params: messageParams,
      replies: { 200: { description: 'The message.', schema: messageReply } },
      handle: reading.get,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/replies',
      operationId: 'listReplies',
      tag,
      summary: 'List the replies in a thread: newest first, or oldest first with `after`.',
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
      summary: 'Follow the thread of a message. Its existing replies count as read.',
      params: messageParams,
      replies: follow,
      handle: reading.follow,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/messages/:messageId/follow',
      operationId: 'unfollowThread',
      tag,
      summary: 'Stop following the thread of a message.',
      params: messageParams,
      replies: follow,
      handle: reading.unfollow,
    }),
    callerRoute({
      method: 'put',
      path: '/api/messages/:messageId/thread-read',
      operationId: 'markThreadRead',
      tag,
      summary: 'Mark the thread of a message as read up to a message. The read marker never moves back.',
      params: messageParams,
      body: markReadInput,
      replies: { 200: { description: 'The current read marker.', schema: threadFollowReply } },
      handle: reading.markThreadRead,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/threads',
      operationId: 'listThreads',
      tag,
      summary:
        'List the threads that the caller follows and may currently read, with their unread counts, latest activity first.',
      query: threadsQuery,
      replies: { 200: { description: 'A page of threads.', schema: threadsReply } },
      handle: reading.listThreads,
    }),
    callerRoute({
      method: 'get',
      path: '/api/messages/:messageId/edits',
      operationId: 'listMessageEdits',
      tag,
      summary:
        'List the former texts of an edited message, latest first. Requires the role moderator in the group.',
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
      summary:
        'List the users who have read a message, in direct conversations and channels with at most 50 members.',
      params: messageParams,
      replies: {
        200: { description: 'The users who send read receipts, at most 50.', schema: receiptsReply },
      },
      handle: reading.seenBy,
    }),
    callerRoute({
      method: 'get',
      path: '/api/channels/:channelId/notification-setting',
      operationId: 'getChannelSetting',
      tag: 'Channels',
      summary: "Get the caller's notification setting of a channel.",
      params: channelParams,
      replies: setting,
      handle: reading.getSetting,
    }),
    callerRoute({
      method: 'put',
      path: '/api/channels/:channelId/notification-setting',
      operationId: 'setChannelSetting',
      tag: 'Channels',
      summary: "Set the caller's notification setting of a channel, on all devices.",
      params: channelParams,
      body: channelSettingInput,
      replies: setting,
      handle: reading.setSetting,
    }),
  ];
}
