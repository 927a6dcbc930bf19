import type { MessageService } from '../../services/message.service';
import type { Handlers } from './handler.types';

/** Handles events that send, forward, edit and delete messages. */
export function messageHandlers(
  messages: MessageService,
): Pick<Handlers, 'message:send' | 'message:forward' | 'message:edit' | 'message:delete'> {
  return {
    'message:send': async (caller, { channelId, ...input }) => {
      const { message } = await messages.send(caller, channelId, input);
      return { message };
    },
    'message:forward': async (caller, { messageId, ...input }) => {
      const { message } = await messages.forward(caller, messageId, input);
      return { message };
    },
    'message:edit': async (caller, { messageId, body }) => ({
      message: await messages.edit(caller, messageId, { body }),
    }),
    'message:delete': async (caller, { messageId }) => ({
      message: await messages.delete(caller, messageId),
    }),
  };
}
