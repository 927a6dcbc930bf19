import type {
  AddPeopleInput,
  ConversationsQuery,
  StartDirectInput,
} from '../models/channels/direct-message.model';
import type { DirectMessageService } from '../services/channels/direct-message.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };

export function createDirectMessagesController(directMessages: DirectMessageService) {
  return {
    start: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, StartDirectInput>): Promise<Reply> => {
      const { conversation, created } = await directMessages.start(caller, body);
      return { status: created ? 201 : 200, body: { conversation } };
    },
    list: async ({ caller, query }: CallerRequest<undefined, ConversationsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await directMessages.list(caller, query);
      return { status: 200, body: { conversations: items, nextCursor } };
    },
    add: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, AddPeopleInput>): Promise<Reply> => {
      const { conversation, created } = await directMessages.add(caller, params.channelId, body);
      return { status: created ? 201 : 200, body: { conversation } };
    },
  };
}
