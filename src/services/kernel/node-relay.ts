import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../utils/logger';
import type { DomainEvent } from './domain-events';
import type { EventBus } from './event-bus';
import { FRESH_MS, type Freshness } from './freshness';
import { METRICS } from './metrics';
import type { NodeRegistry } from './node-registry';
import { OtherNodes } from './other-nodes';
import type { RedisConnections } from './redis';
import { decodeEvents, decodeHeader, encodeBatch, encodeDocument, type BatchHeader } from './relay-batch';
import type { StoredEvents } from './stored-events';
import type { Telemetry } from './telemetry';

/** How long a call waits until other nodes have processed its events. */
const CONFIRMATION_TIMEOUT_MS = 2000;
/** A batch is sent before the end of the turn when it exceeds this. */
const MAX_BATCH_BYTES = 1024 * 1024;
/** When Redis is slower than the events of this node, no more than this waits for it; then events are lost. */
const MAX_UNSENT_BYTES = 32 * 1024 * 1024;
/** The interval of heartbeats and of the check for silent nodes. */
const HEARTBEAT_MS = 3000;
/** The interval at which events are read from the database. */
const POLL_MS = 500;
/** How often an event that was not confirmed is stored again if the database refuses it. */
const STORE_ATTEMPTS = 5;
/**
 * A node that has processed nothing for this long may have missed events: the others consider it dead when its lease has
 * ended, and do not wait for it.
 */
const FORGOTTEN_MS = 5000;

const NOBODY: ReadonlySet<string> = new Set();

/** The events of a turn that are sent together. */
interface Batch {
  events: Uint8Array[];
  bytes: number;
  /** Called with the nodes that have confirmed; empty if nobody waits for confirmations. */
  onConfirmed: ((nodes: ReadonlySet<string>) => void)[];
}

/**
 * Sends domain events to the other nodes, and delivers theirs, over Redis. Events of one node arrive in the order in which
 * it has published them; those of one turn of the event loop are sent as one batch.
 *
 * An event that must have taken effect everywhere before a call returns, such as a removal, is confirmed by each node when
 * its caches and sockets are up to date. If a node that is alive does not confirm in CONFIRMATION_TIMEOUT_MS, or cannot be
 * reached by Redis, the event is stored in the database, which all nodes read every POLL_MS, and the call waits for FRESH_MS:
 * by then each node has read it, or knows that it is not fresh (`Freshness`).
 *
 * Redis may lose events. Batches are numbered and heartbeats repeat the last number, so each node notices that it has
 * missed some, and publishes `events.missed`: its clients connect again and catch up by `sync`. Heartbeats also show which
 * other nodes are there (`node.joined`, `node.left`).
 *
 * Redis is trusted: everyone who can publish there can affect open sockets.
 */
export class NodeRelay {
  private readonly channel: string;
  private readonly others = new OtherNodes();
  private batch: Batch | undefined;
  private lastNumber = 0;
  private unsentBytes = 0;
  /** By the number of a batch: called with each node that has processed it. */
  private readonly unconfirmed = new Map<number, (node: string) => void>();
  private heartbeats: NodeJS.Timeout | undefined;
  private isSubscribed = false;
  private started = false;
  private readonly counts = { sent: 0, received: 0, unsent: 0, missed: 0, stored: 0 };
  /** Receives how long each confirmation took, in milliseconds. */
  private onConfirmation: (milliseconds: number) => void = () => undefined;
  /** The other nodes that are alive according to the database. */
  private alive = new Set<string>();
  private readonly stopping = new AbortController();
  private polling: Promise<void> | undefined;
  /** When the clients of this node, which stops, have connected to other nodes, by the monotonic clock. */
  private returnsUntil = -Infinity;

  /**
   * @param nodes has the id of this node, and knows who is alive when Redis does not.
   * @param installation identifies the nodes of one installation: others may use the same Redis server.
   */
  constructor(
    private readonly bus: EventBus,
    private readonly redis: RedisConnections,
    private readonly nodes: Pick<NodeRegistry, 'id' | 'alive'>,
    private readonly stored: StoredEvents,
    private readonly freshness: Freshness,
    installation: string,
    private readonly logger: Logger,
  ) {
    this.channel = `parley:${installation}:events`;
  }

  /** Whether events of other nodes arrive. */
  get isConnected(): boolean {
    return this.isSubscribed && this.redis.isReady;
  }

  /** Whether another node is known to be there. */
  get hasOthers(): boolean {
    return this.others.present.length > 0;
  }

  /** Adds what it sends and receives to the metrics. */
  observe(telemetry: Telemetry): void {
    const { counts } = this;
    telemetry.gauge(METRICS.nodes).observe({}, () => this.others.present.length + 1);
    telemetry.gauge(METRICS.nodeFresh).observe({}, () => Number(this.freshness.isFresh));
    const events = telemetry.counter(METRICS.relayedEvents);
    events.observe({ direction: 'sent' }, () => counts.sent);
    events.observe({ direction: 'received' }, () => counts.received);
    const losses = telemetry.counter(METRICS.relayLosses);
    losses.observe({ direction: 'sent' }, () => counts.unsent);
    losses.observe({ direction: 'received' }, () => counts.missed);
    telemetry.counter(METRICS.relayStored).observe({}, () => counts.stored);
    const confirmations = telemetry.histogram(METRICS.relayConfirmations);
    this.onConfirmation = (milliseconds) => confirmations.record({}, milliseconds / 1000);
  }

  /** Connects to the other nodes. While Redis cannot be reached, the server works without them. */
  async start(): Promise<void> {
    await this.redis.subscribe({
      channels: [this.channel, this.confirmationsFor(this.nodes.id)],
      receive: (channel, message) => void this.receive(channel, message),
      subscribed: async () => {
        this.isSubscribed = true;
        // Events that were published while this node was not subscribed are lost.
        if (this.started) await this.bus.deliver({ type: 'events.missed' });
        await this.signal({ hello: true });
      },
    });
    this.started = true;
    this.bus.connectNodes(
      (event) => this.post(event),
      (event) => this.sendConfirmed(event),
    );
    await this.readAlive();
    // Nodes that Redis does not connect with this one learn of it by the database, at their next heartbeat.
    if (!this.isConnected && this.alive.size > 0) await delay(HEARTBEAT_MS + POLL_MS);
    await this.poll();
    this.polling = this.pollRegularly();
    this.heartbeats = setInterval(() => void this.beat(), HEARTBEAT_MS);
    this.heartbeats.unref();
  }

  /** Records that the clients of this node connect to other nodes, because it stops. @param withinMs milliseconds */
  expectReturns(withinMs: number): void {
    this.returnsUntil = performance.now() + withinMs;
  }

  /** Sends what is waiting, and that this node leaves. */
  async stop(): Promise<void> {
    if (!this.started) return;
    clearInterval(this.heartbeats);
    this.stopping.abort();
    await this.polling;
    const returning = Math.max(0, Math.ceil(this.returnsUntil - performance.now()));
    await this.signal({ leaving: true, ...(returning > 0 && { returning }) });
  }

  /** Sends an event with those that follow in this turn, and waits for nothing. */
  post(event: DomainEvent): void {
    this.add(event);
  }

  /**
   * Sends an event. Resolves when every subscribed node has confirmed, or after CONFIRMATION_TIMEOUT_MS. Never fails.
   * @returns the ids of the nodes that have confirmed.
   */
  send(event: DomainEvent): Promise<ReadonlySet<string>> {
    return new Promise((resolve) => this.add(event, resolve));
  }

  /** Sends an event, and resolves when it has taken effect on all nodes that are fresh. Never fails. */
  private async sendConfirmed(event: DomainEvent): Promise<void> {
    const bytes = encodeDocument(event);
    const confirmed = await this.send(event);
    if ([...this.alive, ...this.others.present].every((id) => confirmed.has(id))) return;
    for (let attempt = 1; attempt <= STORE_ATTEMPTS; attempt++) {
      try {
        await this.stored.store(bytes);
        this.counts.stored++;
        break;
      } catch (error) {
        this.logger.warn(
          { err: error, event: event.type, attempt },
          'an event could not be stored for other nodes',
        );
      }
    }
    await delay(FRESH_MS);
  }

  private add(event: DomainEvent, onConfirmed?: Batch['onConfirmed'][number]): void {
    // The event is encoded now: what it refers to may change later.
    const bytes = encodeDocument(event);
    if (this.batch && this.batch.bytes + bytes.length > MAX_BATCH_BYTES) this.flush();
    if (!this.batch) {
      this.batch = { events: [], bytes: 0, onConfirmed: [] };
      setImmediate(() => this.flush());
    }
    this.batch.events.push(bytes);
    this.batch.bytes += bytes.length;
    if (onConfirmed) this.batch.onConfirmed.push(onConfirmed);
  }

  private flush(): void {
    const { batch } = this;
    if (!batch) return;
    this.batch = undefined;
    const number = ++this.lastNumber;
    const { events, onConfirmed } = batch;
    if (onConfirmed.length === 0) {
      void this.publish({ from: this.nodes.id, number }, events);
      return;
    }
    void this.publishConfirmed(number, events).then((confirmed) => {
      for (const callback of onConfirmed) callback(confirmed);
    });
  }

  /** Publishes a batch, and waits for the confirmations. @returns the ids of the nodes that have confirmed. */
  private async publishConfirmed(
    number: number,
    events: readonly Uint8Array[],
  ): Promise<ReadonlySet<string>> {
    const confirmed = new Set<string>();
    let expected = Infinity;
    let finish = () => {};
    const all = new Promise<void>((resolve) => (finish = resolve));
    this.unconfirmed.set(number, (node) => {
      confirmed.add(node);
      if (confirmed.size >= expected) finish();
    });
    const startedAt = performance.now();
    const timeout = setTimeout(() => {
      this.logger.warn({ confirmed: confirmed.size, expected }, 'another node has not confirmed in time');
      finish();
    }, CONFIRMATION_TIMEOUT_MS);
    try {
      // Redis returns the number of subscribers, which includes this node.
      const subscribers = await this.publish({ from: this.nodes.id, number, confirm: true }, events);
      if (subscribers === undefined) return NOBODY;
      expected = subscribers;
      if (confirmed.size < expected) await all;
      this.onConfirmation(performance.now() - startedAt);
    } finally {
      clearTimeout(timeout);
      this.unconfirmed.delete(number);
    }
    return confirmed;
  }

  /** Publishes a batch. @returns the number of nodes that receive it; undefined if it could not be published. */
  private async publish(header: BatchHeader, events: readonly Uint8Array[]): Promise<number | undefined> {
    const message = encodeBatch(header, events);
    if (!this.redis.isReady || this.unsentBytes + message.length > MAX_UNSENT_BYTES) {
      this.counts.unsent++;
      return undefined;
    }
    this.unsentBytes += message.length;
    this.counts.sent += events.length;
    try {
      return await this.redis.commands.publish(this.channel, message);
    } catch (error) {
      this.counts.unsent++;
      this.logger.warn({ err: error }, 'events could not be sent to other nodes');
      return undefined;
    } finally {
      this.unsentBytes -= message.length;
    }
  }

  /** Publishes a batch without events. */
  private async signal(signal: Pick<BatchHeader, 'hello' | 'leaving' | 'returning'>): Promise<void> {
    this.flush();
    if (this.redis.isReady)
      await this.publish({ from: this.nodes.id, number: this.lastNumber, ...signal }, []);
  }

  private async beat(): Promise<void> {
    try {
      await this.signal({});
      await this.readAlive();
      // Redis may be down, while they are well.
      for (const id of this.others.silent()) if (!this.alive.has(id)) await this.recordLeft(id, true, 0);
    } catch (error) {
      this.logger.warn({ err: error }, 'whether other nodes are alive could not be read');
    }
  }

  private async readAlive(): Promise<void> {
    const alive = await this.nodes.alive();
    alive.delete(this.nodes.id);
    this.alive = alive;
  }

  private async pollRegularly(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await delay(POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
      // After a failure this node is not fresh until the database answers again.
      if (!signal.aborted) await this.poll().catch(() => undefined);
    }
  }

  /** Delivers the events that other nodes have stored. Then this node is fresh. */
  private async poll(): Promise<void> {
    const startedAt = performance.now();
    const events = await this.stored.next(this.stopping.signal);
    const delivered = events.map((event) => this.bus.deliver(event));
    if (this.polling && this.freshness.age > FORGOTTEN_MS)
      delivered.push(this.bus.deliver({ type: 'events.missed' }));
    await Promise.allSettled(delivered);
    this.freshness.prove(startedAt);
  }

  /**
   * @param isDead whether it has not said that it stops.
   * @param returningMs how long its clients take to connect to other nodes.
   */
  private async recordLeft(id: string, isDead: boolean, returningMs: number): Promise<void> {
    if (this.others.remove(id))
      await this.bus.deliver({ type: 'node.left', nodeId: id, isDead, returningMs });
  }

  private async receive(channel: string, message: Buffer): Promise<void> {
    try {
      if (channel === this.channel) await this.receiveBatch(message);
      else {
        const [number, node = ''] = message.toString().split(' ');
        this.unconfirmed.get(Number(number))?.(node);
      }
    } catch (error) {
      this.logger.warn({ err: error }, 'events of another node could not be processed');
    }
  }

  /** Delivers a batch. The events of all batches are delivered in the order in which they arrive. */
  private async receiveBatch(message: Buffer): Promise<void> {
    const { header, rest } = decodeHeader(message);
    const { from, number } = header;
    if (from === this.nodes.id) {
      this.unconfirmed.get(number)?.(from);
      return;
    }
    const { order, isNew } = this.others.record(from, number, rest.length > 0);
    if (order === 'repeated') return;
    const effects: Promise<void>[] = [];
    if (order === 'missed') {
      this.counts.missed++;
      effects.push(this.bus.deliver({ type: 'events.missed' }), this.signal({ hello: true }));
    }
    if (header.leaving) {
      this.alive.delete(from);
      effects.push(this.recordLeft(from, false, header.returning ?? 0));
    } else if (isNew || header.hello) effects.push(this.bus.deliver({ type: 'node.joined', nodeId: from }));
    const events = decodeEvents(rest);
    this.counts.received += events.length;
    for (const event of events) effects.push(this.bus.deliver(event));
    await Promise.all(effects);
    if (header.confirm) {
      await this.redis.commands.publish(this.confirmationsFor(from), `${number} ${this.nodes.id}`);
    }
  }

  private confirmationsFor(node: string): string {
    return `${this.channel}:confirmed:${node}`;
  }
}
