import type { AccessModule } from '../access/module';
import type { FilesModule } from '../files/module';
import type { Kernel } from '../kernel/module';
import { observeCaches, observeQueue } from '../kernel/observations';
import type { MessagesModule } from '../messages/module';
import type { NotificationsModule } from '../notifications/module';
import type { OperationsModule } from '../operations/module';
import { DraftService } from './draft.service';
import { LinkFetcher, publicWeb, type LinkPolicy } from './link-fetcher';
import { LinkPreviewService } from './link-preview.service';
import { ScheduledMessageService } from './scheduled-message.service';
import { ScheduledSender } from './scheduled-sender';

interface Needs {
  access: AccessModule;
  operations: OperationsModule;
  files: FilesModule;
  notifications: NotificationsModule;
  messages: MessagesModule;
}

/** @param settings.linkPolicy which addresses link previews may fetch: by default the public internet. */
export function createWriting(
  kernel: Kernel,
  needs: Needs,
  settings: { linkPreviews: boolean; linkPolicy: LinkPolicy | undefined },
) {
  const { collections, transactions, bus, lifecycle, jobs, logger } = kernel;
  const { access } = needs.access;
  const { attachments } = needs.files;
  const { messages } = needs.messages;
  const { notifications } = needs.notifications;
  const { maintenance } = needs.operations;
  const drafts = new DraftService(collections, transactions, access, bus, jobs);
  const fetcher = new LinkFetcher(settings.linkPolicy ?? publicWeb());
  const previews = new LinkPreviewService(
    transactions,
    messages,
    fetcher,
    bus,
    logger,
    settings.linkPreviews,
  );
  observeQueue(kernel.telemetry, 'link_previews', previews.queue);
  observeQueue(kernel.telemetry, 'link_fetches', fetcher.queue);
  observeCaches(kernel.telemetry, { link_previews: previews.cache });
  const sender = new ScheduledSender({ ...kernel, messages, notifications, maintenance });
  lifecycle.register('drafts', drafts);
  lifecycle.register('link previews', previews);
  return {
    drafts,
    scheduledMessages: new ScheduledMessageService(
      collections,
      transactions,
      access,
      attachments,
      sender,
      bus,
    ),
  };
}
