import { createScheduledMessagesController } from '../controllers/scheduled-messages.controller.mongodb';
import { pageQuery } from '../models/kernel/common.model';
import {
  rescheduleMessageInput,
  scheduledMessageParams,
  scheduledMessageReply,
  scheduledMessagesReply,
  scheduleMessageInput,
} from '../models/writing/scheduled-message.model';
import type { ScheduledMessageService } from '../services/writing/scheduled-message.service';
import { callerRoute, type ApiRoute } from './api-route';

export function scheduledMessageRoutes(service: ScheduledMessageService): ApiRoute[] {
  const scheduled = createScheduledMessagesController(service);
  const tag = 'Client';
  return [
    callerRoute({
      method: 'post',
      path: '/api/client/scheduled-messages',
      operationId: 'scheduleMessage',
      tag,
      summary: 'Schedule a message. The permission to send is checked again at the time of sending.',
      body: scheduleMessageInput,
      replies: { 201: { description: 'The scheduled message.', schema: scheduledMessageReply } },
      handle: scheduled.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/scheduled-messages',
      operationId: 'listScheduledMessages',
      tag,
      summary: "List the caller's scheduled messages, including those that could not be sent.",
      query: pageQuery,
      replies: {
        200: { description: 'A page of scheduled messages, oldest first.', schema: scheduledMessagesReply },
      },
      handle: scheduled.list,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/client/scheduled-messages/:scheduledMessageId',
      operationId: 'updateScheduledMessage',
      tag,
      summary: 'Change the text or time of a scheduled message. A failed one is tried again.',
      params: scheduledMessageParams,
      body: rescheduleMessageInput,
      replies: { 200: { description: 'The scheduled message.', schema: scheduledMessageReply } },
      handle: scheduled.update,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/client/scheduled-messages/:scheduledMessageId',
      operationId: 'deleteScheduledMessage',
      tag,
      summary: 'Delete a scheduled message, so that it is not sent.',
      params: scheduledMessageParams,
      replies: { 204: { description: 'The scheduled message was deleted.' } },
      handle: scheduled.remove,
    }),
  ];
}
