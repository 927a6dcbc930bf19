import type { LiveChange } from './channel-state';
import type { Channel, Message, Read } from './types';

/** The fields of events that concern channels. */
export interface EventPayload {
  message?: Message;
  channel?: Channel;
  channelId?: string;
  groupId?: string;
  userId?: string;
  revision?: number;
  memberCount?: number;
  read?: Read;
  kind?: string | null;
}

/** Returns the change of a channel that an event reports; undefined if it reports none. */
export function changeOf(name: string, payload: EventPayload): LiveChange | undefined {
  const { channel, userId, revision, memberCount } = payload;
  if (name === 'channel:updated' && channel) return { kind: 'channel', revision: channel.revision, channel };
  if (revision === undefined || memberCount === undefined) return undefined;
  if (name === 'channel_member:cleared') return { kind: 'members_cleared', revision, memberCount };
  if (userId === undefined) return undefined;
  if (name === 'channel_member:added')
    return { kind: 'member', revision, userId, present: true, memberCount };
  if (name === 'channel_member:removed')
    return { kind: 'member', revision, userId, present: false, memberCount };
  return undefined;
}
