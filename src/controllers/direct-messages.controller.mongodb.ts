import type { ChannelParams } from '../models/channel.model';
import type {
  AddPeopleInput,
  ConversationsQuery,
  StartDirectInput,
} from '../models/channels/direct-message.model';
import type { DirectMessageService } from '../services/channels/direct-message.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createDirectMessagesController(directMessages: DirectMessageService) {
  return {
    start: async ({ caller, body }: CallerRequest<{ body: StartDirectInput }>) => {
      const { conversation, created } = await directMessages.start(caller, body);
      return reply(created ? 201 : 200, { conversation });
    },
    list: async ({ caller, query }: CallerRequest<{ query: ConversationsQuery }>) => {
      const { items, nextCursor } = await directMessages.list(caller, query);
      return reply(200, { conversations: items, nextCursor });
    },
    add: async ({ caller, params, body }: CallerRequest<{ params: ChannelParams; body: AddPeopleInput }>) => {
      const { conversation, created } = await directMessages.add(caller, params.channelId, body);
      return reply(created ? 201 : 200, { conversation });
    },
  };
}
