import { toMessage } from '../../models/message.model';
import { toBookmark } from '../../models/messages/bookmark.model';
import { toThreadFollow } from '../../models/messages/thread.model';
import { audienceOfChannel } from '../../services/access/access';
import type { DomainEventOf } from '../../services/kernel/domain-events';
import { readers, to, users, type BroadcastsOf, type WireEvent } from './broadcast.types';

function updated({ channel, message }: DomainEventOf<'message.edited' | 'message.updated'>): WireEvent[] {
  return [to(audienceOfChannel(channel), 'message:updated', { message: toMessage(message) })];
}

export const messageBroadcasts = {
  'message.created': {
    after: ({ channel, message }) => [
      to(audienceOfChannel(channel), 'message:created', { message: toMessage(message) }),
    ],
  },
  'message.edited': { after: updated },
  'message.updated': { after: updated },
  'message.deleted': {
    after: ({ channel, message }) => [
      to(audienceOfChannel(channel), 'message:deleted', { message: toMessage(message) }),
    ],
  },
  'thread_follow.changed': {
    after: ({ follow, audience }) => [
      to(readers([follow.userId], audience), 'thread:updated', { thread: toThreadFollow(follow) }),
    ],
  },
  'bookmark.added': {
    after: ({ bookmark, message }) => [
      to(users(bookmark.userId), 'bookmark:added', { bookmark: toBookmark(bookmark, message) }),
    ],
  },
  'bookmark.removed': {
    after: ({ userIds, messageId }) => [
      to(users(...userIds), 'bookmark:removed', { messageId: messageId.toHexString() }),
    ],
  },
} satisfies BroadcastsOf<
  | 'message.created'
  | 'message.edited'
  | 'message.updated'
  | 'message.deleted'
  | 'thread_follow.changed'
  | 'bookmark.added'
  | 'bookmark.removed'
>;
