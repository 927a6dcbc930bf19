import { setImmediate as nextTick } from 'node:timers/promises';
import type { ChannelDocument } from '../../models/channel.model';
import type { MessageDocument } from '../../models/message.model';
import type { ThreadFollowDocument } from '../../models/messages/thread.model';
import { audienceOfChannel, type Access } from '../access/access';
import type { RightsVersion } from '../access/rights-version';
import type { EventBus } from '../kernel/event-bus';
import type { NotificationService } from '../notifications/notification.service';
import type { WrittenBatch } from './message-batch';

/** How long publishing may occupy the thread before it yields, for example to the write of the next batch. */
const PUBLISH_SLICE_MS = 5;

/** The dependencies of MessagePublisher. */
export interface MessagePublisherDeps {
  access: Access;
  rights: RightsVersion;
  notifications: NotificationService;
  bus: EventBus;
}

/** Publishes committed batches of messages. */
export class MessagePublisher {
  constructor(private readonly deps: MessagePublisherDeps) {}

  /** Publishes the messages of a batch in their order, and what else the batch has changed. */
  async publish({ channel, created, roots, follows, notifications }: WrittenBatch): Promise<void> {
    const { bus } = this.deps;
    let sliceEnd = performance.now() + PUBLISH_SLICE_MS;
    for (const document of created) {
      await bus.publish({ type: 'message.created', channel, message: document });
      if (performance.now() < sliceEnd) continue;
      await nextTick();
      sliceEnd = performance.now() + PUBLISH_SLICE_MS;
    }
    for (const root of roots) await bus.publish({ type: 'message.updated', channel, message: root });
    if (follows.length > 0) await this.publishFollows(channel, created, follows);
    if (notifications.length > 0) await this.deps.notifications.publishToReaders(channel._id, notifications);
  }

  /** Publishes new follows to users who read the channel: the author of a root may no longer do so. */
  private async publishFollows(
    channel: ChannelDocument,
    created: readonly MessageDocument[],
    follows: readonly ThreadFollowDocument[],
  ): Promise<void> {
    const { access, rights, bus } = this.deps;
    const followers = follows.map(({ userId }) => userId);
    await rights.publish(
      () => access.filterReaders(channel._id, followers),
      (readers) => {
        const senders = created.map(({ senderId }) => senderId);
        const recipients = new Set([...readers, ...senders].map((id) => id.toHexString()));
        return Promise.all(
          follows
            .filter(({ userId }) => recipients.has(userId.toHexString()))
            .map((follow) =>
              bus.publish({ type: 'thread_follow.changed', follow, audience: audienceOfChannel(channel) }),
            ),
        );
      },
    );
  }
}
