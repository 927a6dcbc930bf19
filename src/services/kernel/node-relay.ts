import { EJSON } from 'bson';
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Logger } from '../../utils/logger';
import { DOMAIN_EVENTS, type DomainEvent, type EventTraits } from './domain-events';
import type { EventBus } from './event-bus';

/** How long things last, in milliseconds. */
export interface RelayTiming {
  /** How long a call waits for other nodes to have taken in what it did. */
  patience: number;
  /** Between two looks whether Redis still answers; one that is silent for that long counts as gone. */
  ping: number;
}

const TIMING: RelayTiming = { patience: 2000, ping: 5000 };

/** An event on its way from one node to the others. */
export interface Envelope {
  /** The node that waits for confirmations. */
  from: string;
  /** The number of the event among those of that node. */
  id: number;
  event: DomainEvent;
}

/** Extended JSON, which keeps ObjectIds and times. */
export function encodeEnvelope(envelope: Envelope): string {
  return EJSON.stringify(envelope);
}

/** @throws Error if it is not an event for all nodes */
export function decodeEnvelope(text: string): Envelope {
  const { from, id, event } = EJSON.parse(text) as Envelope;
  const traits = DOMAIN_EVENTS[event.type] as EventTraits | undefined;
  if (traits?.scope !== 'all') throw new Error('This is not an event for all nodes.');
  return { from, id, event };
}

/**
 * Carries domain events from node to node over Redis, so that a removal or a revocation counts on every node
 * before the call that caused it returns. Each node confirms when its caches and sockets are in order; one that
 * is slow or cut off is waited for no longer than `patience`, and finds out by itself (`SessionRecheck`, and
 * `events.missed` once it is back).
 *
 * Redis is trusted: who can publish there can act on open sockets.
 */
export class NodeRelay {
  private readonly id = randomUUID();
  private readonly channel: string;
  private publisher: Redis | undefined;
  private subscriber: Redis | undefined;
  private readonly unconfirmed = new Map<number, () => void>();
  private lastId = 0;
  private subscribed: Promise<void> = Promise.resolve();
  private started = false;
  private pinging: NodeJS.Timeout | undefined;

  /** @param installation what nodes of one installation have in common: other ones may share the Redis server. */
  constructor(
    private readonly bus: EventBus,
    private readonly redisUrl: string | undefined,
    installation: string,
    private readonly logger: Logger,
    private readonly timing: RelayTiming = TIMING,
  ) {
    this.channel = `parley:${installation}:events`;
  }

  /** Joins the other nodes; while Redis cannot be reached, the server goes on without. */
  async start(): Promise<void> {
    if (this.redisUrl === undefined) return;
    const options = { lazyConnect: true, enableOfflineQueue: false, maxRetriesPerRequest: 1 };
    this.publisher = new Redis(this.redisUrl, { ...options, commandTimeout: this.timing.patience });
    const subscriber = new Redis(this.redisUrl, {
      ...options,
      commandTimeout: this.timing.ping,
      autoResubscribe: false,
    });
    this.subscriber = subscriber;
    for (const redis of [this.publisher, subscriber]) {
      redis.on('error', (error) => this.logger.warn({ err: error }, 'other nodes cannot be reached'));
    }
    subscriber.on('ready', () => {
      this.subscribed = this.subscribe(subscriber);
    });
    subscriber.on('message', (channel, text) => void this.take(channel, text));
    await Promise.allSettled([this.publisher.connect(), subscriber.connect()]);
    await this.subscribed;
    this.started = true;
    this.pinging = setInterval(() => this.ping(subscriber), this.timing.ping);
    this.pinging.unref();
    this.bus.connectNodes((event) => this.send(event));
  }

  /** Leaves the other nodes. */
  async stop(): Promise<void> {
    clearInterval(this.pinging);
    for (const redis of [this.subscriber, this.publisher])
      await redis?.quit().catch(() => redis.disconnect());
  }

  private async subscribe(subscriber: Redis): Promise<void> {
    try {
      await subscriber.subscribe(this.channel, this.confirmationsFor(this.id));
      // What happened while it was away, nobody will tell it.
      if (this.started) await this.bus.deliver({ type: 'events.missed' });
    } catch (error) {
      this.logger.warn({ err: error }, 'other nodes cannot be heard');
      subscriber.disconnect(true);
    }
  }

  /** A connection that has died silently would otherwise be noticed late or never. */
  private ping(subscriber: Redis): void {
    if (subscriber.status !== 'ready') return;
    subscriber.ping().catch(() => subscriber.disconnect(true));
  }

  /** Resolves when every node that listens has confirmed, or patience has ended. Never fails. */
  private async send(event: DomainEvent): Promise<void> {
    const id = ++this.lastId;
    let confirmed = 0;
    let expected = Infinity;
    let finish = () => {};
    const all = new Promise<void>((resolve) => (finish = resolve));
    this.unconfirmed.set(id, () => {
      if (++confirmed >= expected) finish();
    });
    const patience = setTimeout(() => {
      this.logger.warn({ event: event.type, confirmed, expected }, 'another node has not confirmed in time');
      finish();
    }, this.timing.patience);
    try {
      const text = encodeEnvelope({ from: this.id, id, event });
      // Redis says how many nodes hear it, this one among them.
      expected = (await this.publisher?.publish(this.channel, text)) ?? 0;
      if (confirmed < expected) await all;
    } catch (error) {
      this.logger.warn({ err: error, event: event.type }, 'other nodes were not told');
    } finally {
      clearTimeout(patience);
      this.unconfirmed.delete(id);
    }
  }

  private async take(channel: string, text: string): Promise<void> {
    try {
      if (channel !== this.channel) {
        this.unconfirmed.get(Number(text))?.();
        return;
      }
      const { from, id, event } = decodeEnvelope(text);
      if (from === this.id) {
        this.unconfirmed.get(id)?.();
        return;
      }
      await this.bus.deliver(event);
      await this.publisher?.publish(this.confirmationsFor(from), String(id));
    } catch (error) {
      this.logger.warn({ err: error }, 'what another node told could not be taken in');
    }
  }

  private confirmationsFor(node: string): string {
    return `${this.channel}:confirmed:${node}`;
  }
}
