import { DOMAIN_EVENTS, type DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';

/** How often rights are read again that have changed while they were being read. */
const MAX_ATTEMPTS = 10;

/** Events that change rights, and take none from anybody: many may come while something is published. */
const GRANTS = new Set<DomainEvent['type']>([
  'group.created',
  'member.added',
  'channel.created',
  'channel_ban.ended',
  'channel_restriction.ended',
]);

/**
 * Counts the events that may have taken a right to read or write from anybody. Whoever publishes something outside of the
 * queue and the transaction in which rights are decided reads them first, and the count tells whether they still hold
 * when it is published. A call that takes a right away publishes that before it returns, on all nodes.
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
   * Publishes something to those who may receive it at that moment. Where rights change faster than they can be read,
   * nothing is published.
   * @param read reads who may receive it.
   * @param publish is called at once with what was read, and publishes before it yields.
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
