import type { ChannelParams } from '../models/channel.model';
import type { SetRetentionInput } from '../models/messages/retention.model';
import type { RetentionService } from '../services/messages/retention.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createRetentionController(retention: RetentionService) {
  return {
    set: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: SetRetentionInput }>) =>
      reply(200, { channel: await retention.set(caller, params.channelId, body) }),
  };
}
