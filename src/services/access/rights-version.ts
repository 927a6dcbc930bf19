import { DOMAIN_EVENTS, type DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';

/** The attempts to read rights that change while they are being read. */
const MAX_ATTEMPTS = 10;

/** Events that only add rights. They are frequent, and do not invalidate what has been read before. */
const GRANTS = new Set<DomainEvent['type']>([
  'group.created',
  'member.added',
  'channel.created',
  'channel_ban.ended',
  'channel_restriction.ended',
]);

/**
 * Counts the events that may have revoked a right to read or write. Code that publishes outside of the queue and the
 * transaction in which rights are decided reads them first, and compares this version to detect whether they have changed
 * before it publishes. A call that revokes a right publishes its event on all nodes before it returns.
 */
export class RightsVersion {
  private version = 0;

  constructor(bus: EventBus) {
    bus.subscribe((event) => {
      if (mayRevokeRights(event)) this.version++;
    });
  }

  get current(): number {
    return this.version;
  }

  /**
   * Publishes something to those who may receive it at this moment. If rights change faster than they can be read, nothing
   * is published.
   * @param read finds the recipients.
   * @param publish is called synchronously with what was read, and must publish before it awaits anything.
   */
  async publish<Found>(
    read: () => Promise<Found>,
    publish: (found: Found) => Promise<unknown>,
  ): Promise<void> {
    for (let tries = 0; tries < MAX_ATTEMPTS; tries++) {
      const { version } = this;
      const found = await read();
      if (version !== this.version) continue;
      await publish(found);
      return;
    }
  }
}

function mayRevokeRights({ type }: DomainEvent): boolean {
  return DOMAIN_EVENTS[type].changesRights && !GRANTS.has(type);
}
