import type { PageQuery } from '../models/kernel/common.model';
import type {
  RescheduleMessageInput,
  ScheduledMessageParams,
  ScheduleMessageInput,
} from '../models/writing/scheduled-message.model';
import type { ScheduledMessageService } from '../services/writing/scheduled-message.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createScheduledMessagesController(scheduled: ScheduledMessageService) {
  return {
    create: async ({ caller, body }: CallerRequest<{ body: ScheduleMessageInput }>) =>
      reply(201, { scheduledMessage: await scheduled.create(caller, body) }),
    list: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await scheduled.list(caller, query);
      return reply(200, { scheduledMessages: items, nextCursor });
    },
    update: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ScheduledMessageParams; body: RescheduleMessageInput }>) =>
      reply(200, { scheduledMessage: await scheduled.update(caller, params.scheduledMessageId, body) }),
    remove: async ({ caller, params }: CallerRequest<{ params: ScheduledMessageParams }>) => {
      await scheduled.remove(caller, params.scheduledMessageId);
      return reply(204);
    },
  };
}
