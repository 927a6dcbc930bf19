import type { PageQuery } from '../models/kernel/common.model';
import type { RescheduleMessageInput, ScheduleMessageInput } from '../models/writing/scheduled-message.model';
import type { ScheduledMessageService } from '../services/writing/scheduled-message.service';
import type { CallerRequest, Reply } from './controller.types';

type ScheduledMessageParams = { scheduledMessageId: string };

export function createScheduledMessagesController(scheduled: ScheduledMessageService) {
  return {
    create: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, ScheduleMessageInput>): Promise<Reply> => ({
      status: 201,
      body: { scheduledMessage: await scheduled.create(caller, body) },
    }),
    list: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await scheduled.list(caller, query);
      return { status: 200, body: { scheduledMessages: items, nextCursor } };
    },
    update: async ({
      caller,
      params,
      body,
    }: CallerRequest<ScheduledMessageParams, undefined, RescheduleMessageInput>): Promise<Reply> => ({
      status: 200,
      body: { scheduledMessage: await scheduled.update(caller, params.scheduledMessageId, body) },
    }),
    remove: async ({ caller, params }: CallerRequest<ScheduledMessageParams>): Promise<Reply> => {
      await scheduled.remove(caller, params.scheduledMessageId);
      return { status: 204 };
    },
  };
}
