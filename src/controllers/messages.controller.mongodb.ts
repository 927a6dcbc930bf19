import type { ChannelParams } from '../models/channel.model';
import type {
  EditMessageInput,
  ForwardMessageInput,
  MessageParams,
  SendMessageInput,
} from '../models/message.model';
import type { MessageService } from '../services/message.service';
import type { CallerRequest } from './controller.types';
import { reply } from './reply';

export function createMessagesController(messages: MessageService) {
  return {
    send: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: ChannelParams; body: SendMessageInput }>) => {
      const { message, created } = await messages.send(caller, params.channelId, body);
      return reply(created ? 201 : 200, { message });
    },
    forward: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: MessageParams; body: ForwardMessageInput }>) => {
      const { message, created } = await messages.forward(caller, params.messageId, body);
      return reply(created ? 201 : 200, { message });
    },
    edit: async ({
      caller,
      params,
      body,
    }: CallerRequest<{ params: MessageParams; body: EditMessageInput }>) =>
      reply(200, { message: await messages.edit(caller, params.messageId, body) }),
    remove: async ({ caller, params }: CallerRequest<{ params: MessageParams }>) =>
      reply(200, { message: await messages.delete(caller, params.messageId) }),
  };
}
