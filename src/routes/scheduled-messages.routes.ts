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
      summary: 'Have a message sent later. Whether the caller may is decided again at that time.',
      body: scheduleMessageInput,
      replies: { 201: { description: 'The scheduled message.', schema: scheduledMessageReply } },
      handle: scheduled.create,
    }),
    callerRoute({
      method: 'get',
      path: '/api/client/scheduled-messages',
      operationId: 'listScheduledMessages',
      tag,
      summary: 'What is still to be sent, and what could not be sent.',
      query: pageQuery,
      replies: { 200: { description: 'A page, oldest first.', schema: scheduledMessagesReply } },
      handle: scheduled.list,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/client/scheduled-messages/:scheduledMessageId',
      operationId: 'updateScheduledMessage',
      tag,
      summary: 'Change the text or the time. One that has failed is tried again.',
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
      summary: 'Do not send it.',
      params: scheduledMessageParams,
      replies: { 204: { description: 'It is gone.' } },
      handle: scheduled.remove,
    }),
  ];
}
