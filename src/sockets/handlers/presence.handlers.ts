import type { PresenceService } from '../../services/presence/presence.service';
import type { TypingService } from '../../services/presence/typing.service';
import type { Handlers } from './handler.types';

/** Handles events that report the user's activity on a device, and typing. */
export function presenceHandlers(
  presence: PresenceService,
  typing: TypingService,
): Pick<Handlers, 'presence:report' | 'typing:start' | 'typing:stop'> {
  return {
    'presence:report': ({ userId }, { active }, { socketId }) =>
      Promise.resolve({ status: presence.report(socketId, userId, active) }),
    'typing:start': async (caller, { channelId }) => {
      await typing.start(caller, channelId);
      return {};
    },
    'typing:stop': async (caller, { channelId }) => {
      await typing.stop(caller, channelId);
      return {};
    },
  };
}
