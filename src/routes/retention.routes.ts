import { createRetentionController } from '../controllers/retention.controller.mongodb';
import { channelParams, channelReply } from '../models/channel.model';
import { setRetentionInput } from '../models/messages/retention.model';
import type { RetentionService } from '../services/messages/retention.service';
import { callerRoute, type ApiRoute } from './api-route';

export function retentionRoutes(service: RetentionService): ApiRoute[] {
  const retention = createRetentionController(service);
  return [
    callerRoute({
      method: 'put',
      path: '/api/channels/:channelId/retention',
      operationId: 'setRetention',
      tag: 'Channels',
      summary:
        'Set for how many days a channel keeps its messages. Older messages are removed. Requires the role admin in the group.',
      params: channelParams,
      body: setRetentionInput,
      replies: { 200: { description: 'The channel.', schema: channelReply } },
      handle: retention.set,
    }),
  ];
}
