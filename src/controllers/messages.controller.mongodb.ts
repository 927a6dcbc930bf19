import type { EditMessageInput, ForwardMessageInput, SendMessageInput } from '../models/message.model';
import type { MessageService } from '../services/message.service';
import type { CallerRequest, Reply } from './controller.types';

type ChannelParams = { channelId: string };
type MessageParams = { messageId: string };

export function createMessagesController(messages: MessageService) {
  return {
    send: async ({
      caller,
      params,
      body,
    }: CallerRequest<ChannelParams, undefined, SendMessageInput>): Promise<Reply> => {
      const { message, created } = await messages.send(caller, params.channelId, body);
      return { status: created ? 201 : 200, body: { message } };
    },
    forward: async ({
      caller,
      params,
      body,
    }: CallerRequest<MessageParams, undefined, ForwardMessageInput>): Promise<Reply> => {
      const { message, created } = await messages.forward(caller, params.messageId, body);
      return { status: created ? 201 : 200, body: { message } };
    },
    edit: async ({
      caller,
      params,
      body,
    }: CallerRequest<MessageParams, undefined, EditMessageInput>): Promise<Reply> => ({
      status: 200,
      body: { message: await messages.edit(caller, params.messageId, body) },
    }),
    remove: async ({ caller, params }: CallerRequest<MessageParams>): Promise<Reply> => ({
      status: 200,
      body: { message: await messages.delete(caller, params.messageId) },
    }),
  };
}
