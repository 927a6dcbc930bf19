import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { ChannelsModule } from '../channels/module';
import type { FilesModule } from '../files/module';
import type { Kernel } from '../kernel/module';
import { MessageService } from '../message.service';
import type { NotificationsModule } from '../notifications/module';
import type { ReadingModule } from '../reading/module';
import type { UsersModule } from '../users/module';
import { BookmarkService } from './bookmark.service';
import { MentionNotifications } from './mention-notifications';
import { Mentions } from './mentions';
import { MessageChanges } from './message-changes';
import { BatchWrites } from './batch-writes';
import { MessageCommitter } from './message-committer';
import { MessageComposer, type MessageDraft } from './message-composer';
import { MessageEraser } from './message-eraser';
import { MessageHistory } from './message-history';
import { MessagePublisher } from './message-publisher';
import { MessageWriter, type SentMessage } from './message-writer';
import { PinService } from './pin.service';
import { ReactionService } from './reaction.service';
import { RetentionService } from './retention.service';
import { SendPreparation } from './send-preparation';
import { SlowMode } from './slow-mode';
import { ThreadRoots } from './thread-roots';
import { ThreadService } from './thread.service';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  files: FilesModule;
  notifications: NotificationsModule;
  reading: ReadingModule;
  channels: ChannelsModule;
}

export type MessagesModule = ReturnType<typeof createMessages>;

export function createMessages(kernel: Kernel, needs: Needs) {
  const { collections, transactions, bus, queue } = kernel;
  const { audit } = needs.audit;
  const { access, audiences, writes, rights } = needs.access;
  const { attachments } = needs.files;
  const { notifications } = needs.notifications;
  const { markers, reads } = needs.reading;
  const { channelChanges, channelCounts, channelMemory } = needs.channels;
  const slowMode = new SlowMode(collections, transactions);
  const mentions = new Mentions(collections, transactions, access);
  const mentionNotifications = new MentionNotifications(access, audiences, notifications);
  const composer = new MessageComposer(collections, transactions, access, mentions, attachments);
  const writer = new MessageWriter({
    ...kernel,
    memory: channelMemory,
    preparation: new SendPreparation(access, slowMode, composer),
    committer: new MessageCommitter({
      ...kernel,
      batchWrites: new BatchWrites({
        collections,
        attachments,
        markers,
        roots: new ThreadRoots(collections),
        slowMode,
        mentionNotifications,
      }),
    }),
    publisher: new MessagePublisher({ access, rights, notifications, bus }),
  });
  const sends = queue.batched<MessageDraft, SentMessage>((id, drafts) => writer.commit(id, drafts));
  const changes = new MessageChanges(collections, transactions, access, queue, channelChanges, bus);
  const eraser = new MessageEraser(collections, changes, attachments, notifications, bus);
  const retention = new RetentionService({
    ...kernel,
    writes,
    changes: channelChanges,
    counts: channelCounts,
    markers,
    attachments,
    audit,
  });
  return {
    messages: new MessageService({
      ...kernel,
      sends,
      changes,
      eraser,
      slowMode,
      mentions,
      mentionNotifications,
      notifications,
      reads,
      audit,
    }),
    history: new MessageHistory(collections, access),
    reactions: new ReactionService(access, changes, slowMode, needs.users.users),
    pins: new PinService(collections, access, changes, audit),
    threads: new ThreadService(collections, transactions, access, bus),
    bookmarks: new BookmarkService(collections, transactions, access, bus),
    retention,
  };
}
