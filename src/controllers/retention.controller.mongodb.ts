import type { SetRetentionInput } from '../models/messages/retention.model';
import type { RetentionService } from '../services/messages/retention.service';
import type { CallerRequest, Reply } from './controller.types';

export function createRetentionController(retention: RetentionService) {
  return {
    set: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ channelId: string }, undefined, SetRetentionInput>): Promise<Reply> => ({
      status: 200,
      body: { channel: await retention.set(caller, params.channelId, body) },
    }),
  };
}
