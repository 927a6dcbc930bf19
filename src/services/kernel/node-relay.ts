import { EJSON } from 'bson';
import type { Logger } from '../../utils/logger';
import { DOMAIN_EVENTS, type DomainEvent, type EventTraits } from './domain-events';
import type { EventBus } from './event-bus';
import type { RedisConnections } from './redis';

/** How long a call waits until other nodes have processed its events. */
const CONFIRMATION_TIMEOUT_MS = 2000;

/** An event on its way from one node to the others. */
export interface Envelope {
  /** The node that waits for confirmations. */
  from: string;
  /** The number of the event among those of that node. */
  id: number;
  event: DomainEvent;
}

/** Encodes an envelope as extended JSON, which preserves ObjectIds and dates. */
export function encodeEnvelope(envelope: Envelope): string {
  return EJSON.stringify(envelope);
}

/** Decodes an envelope. @throws Error if it is not an event for all nodes */
export function decodeEnvelope(text: string): Envelope {
  const { from, id, event } = EJSON.parse(text) as Envelope;
  const traits = DOMAIN_EVENTS[event.type] as EventTraits | undefined;
  if (traits?.scope !== 'all') throw new Error('This is not an event for all nodes.');
  return { from, id, event };
}

/**
 * Sends domain events to other nodes over Redis, so that a removal or a revocation takes effect on every node before the
 * call that caused it returns. Each node confirms when its caches and sockets are up to date. A call does not wait longer
 * than CONFIRMATION_TIMEOUT_MS for a node that is slow or disconnected; that node catches up by itself (`SessionRecheck`,
 * and `events.missed` when it is connected again).
 *
 * Redis is trusted: everyone who can publish there can affect open sockets.
 */
export class NodeRelay {
  private readonly channel: string;
  /** By the number of an event: called with each node that has processed it. */
  private readonly unconfirmed = new Map<number, (node: string) => void>();
  private lastId = 0;
  private started = false;

  /**
   * @param id the id of this node.
   * @param installation identifies the nodes of one installation: others may use the same Redis server.
   */
  constructor(
    private readonly bus: EventBus,
    private readonly redis: RedisConnections,
    private readonly id: string,
    installation: string,
    private readonly logger: Logger,
  ) {
    this.channel = `parley:${installation}:events`;
  }

  /** Connects to the other nodes. While Redis cannot be reached, the server works without them. */
  async start(): Promise<void> {
    await this.redis.subscribe({
      channels: [this.channel, this.confirmationsFor(this.id)],
      receive: (channel, text) => void this.receive(channel, text),
      subscribed: async () => {
        // Events that were published while this node was not subscribed are lost.
        if (this.started) await this.bus.deliver({ type: 'events.missed' });
      },
    });
    this.started = true;
    this.bus.connectNodes(async (event) => {
      await this.send(event);
    });
  }

  /**
   * Sends an event. Resolves when every subscribed node has confirmed, or after CONFIRMATION_TIMEOUT_MS. Never fails.
   * @returns the ids of the nodes that have confirmed.
   */
  async send(event: DomainEvent): Promise<ReadonlySet<string>> {
    const id = ++this.lastId;
    const confirmed = new Set<string>();
    let expected = Infinity;
    let finish = () => {};
    const all = new Promise<void>((resolve) => (finish = resolve));
    this.unconfirmed.set(id, (node) => {
      confirmed.add(node);
      if (confirmed.size >= expected) finish();
    });
    const timeout = setTimeout(() => {
      this.logger.warn(
        { event: event.type, confirmed: confirmed.size, expected },
        'another node has not confirmed in time',
      );
      finish();
    }, CONFIRMATION_TIMEOUT_MS);
    try {
      const text = encodeEnvelope({ from: this.id, id, event });
      // Redis returns the number of subscribers, which includes this node.
      expected = await this.redis.commands.publish(this.channel, text);
      if (confirmed.size < expected) await all;
    } catch (error) {
      this.logger.warn({ err: error, event: event.type }, 'an event could not be sent to other nodes');
    } finally {
      clearTimeout(timeout);
      this.unconfirmed.delete(id);
    }
    return confirmed;
  }

  private async receive(channel: string, text: string): Promise<void> {
    try {
      if (channel !== this.channel) {
        const [id = '', node = ''] = text.split(' ');
        this.unconfirmed.get(Number(id))?.(node);
        return;
      }
      const { from, id, event } = decodeEnvelope(text);
      if (from === this.id) {
        this.unconfirmed.get(id)?.(this.id);
        return;
      }
      await this.bus.deliver(event);
      await this.redis.commands.publish(this.confirmationsFor(from), `${id} ${this.id}`);
    } catch (error) {
      this.logger.warn({ err: error }, 'an event of another node could not be processed');
    }
  }

  private confirmationsFor(node: string): string {
    return `${this.channel}:confirmed:${node}`;
  }
}
