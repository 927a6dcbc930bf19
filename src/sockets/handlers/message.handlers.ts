import type { MessageService } from '../../services/message.service';
import type { SentMessage } from '../../services/messages/message-writer';
import type { Handlers } from './handler.types';

/** Handles events that send, forward, edit and delete messages. */
export function messageHandlers(
  messages: MessageService,
): Pick<Handlers, 'message:send' | 'message:forward' | 'message:edit' | 'message:delete'> {
  return {
    'message:send': (caller, { channelId, ...input }) =>
      messages.send(caller, channelId, input).then(toReply),
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

const toReply = ({ message }: SentMessage) => ({ message });
