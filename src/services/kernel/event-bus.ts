import type { Transactions } from '../../db/transaction';
import { DOMAIN_EVENTS, type DomainEvent, type EventTraits } from './domain-events';

/**
 * When a listener is called:
 * - `before`, `everywhere`, `after`: in this order, on every node that receives the event. State in memory follows in
 *   `everywhere`: caches, audiences, open sockets. On the node that publishes an event, `after` comes when the nodes whose
 *   confirmation it requires have confirmed.
 * - `publisher`: last, and only on the node that publishes the event. For work that must be done once.
 */
export type EventStage = 'before' | 'everywhere' | 'after' | 'publisher';

export type EventListener = (event: DomainEvent) => void | Promise<void>;

/** Most events, such as each message, have no asynchronous listener: they share this promise. */
const DONE = Promise.resolve();

/**
 * Delivers domain events from the services to listeners. In each stage, listeners are called in the order
 * in which they subscribed, and synchronously up to their first await.
 */
export class EventBus {
  private readonly listeners: Record<EventStage, Set<EventListener>> = {
    before: new Set(),
    everywhere: new Set(),
    after: new Set(),
    publisher: new Set(),
  };
  private post: ((event: DomainEvent) => void) | undefined;
  private sendConfirmed: ((event: DomainEvent) => Promise<void>) | undefined;

  constructor(private readonly transactions: Transactions) {}

  /** @returns a function that ends the subscription. */
  subscribe(listener: EventListener, stage: EventStage = 'everywhere'): () => void {
    this.listeners[stage].add(listener);
    return () => this.listeners[stage].delete(listener);
  }

  /**
   * Sends events with the scope `all` to the other nodes, too.
   * @param post sends an event and waits for nothing.
   * @param sendConfirmed resolves when an event has taken effect there. It must not fail, since the event has already
   *   happened.
   */
  connectNodes(
    post: (event: DomainEvent) => void,
    sendConfirmed: (event: DomainEvent) => Promise<void>,
  ): void {
    this.post = post;
    this.sendConfirmed = sendConfirmed;
  }

  /**
   * Publishes an event. In a transaction it waits for the commit, and `Transactions.run` for the listeners.
   *
   * Resolves when every listener is done, on the other nodes as well if the event is `confirmed`. Services await it, so
   * that a removal has taken effect on open sockets before the call that caused it returns. Any other event reaches the
   * synchronous part of all listeners of this node before `publish` yields.
   */
  publish(event: DomainEvent): Promise<void> {
    return this.transactions.afterCommit(() => this.announce(event));
  }

  /** Delivers an event of another node, or one that concerns this node alone. */
  async deliver(event: DomainEvent): Promise<void> {
    const running = this.call('everywhere', event, this.call('before', event));
    // Without an asynchronous listener, the last stage is not overtaken by the next event.
    if (running.length > 0) await Promise.allSettled(running);
    await Promise.all(this.call('after', event, running));
  }

  private announce(event: DomainEvent): Promise<void> {
    const { scope, confirmed }: EventTraits = DOMAIN_EVENTS[event.type];
    const running = this.call('everywhere', event, this.call('before', event));
    if (confirmed) return this.finishConfirmed(event, running);
    if (scope === 'all') this.post?.(event);
    this.finish(event, running);
    return running.length === 0 ? DONE : all(running);
  }

  private async finishConfirmed(event: DomainEvent, running: Promise<void>[]): Promise<void> {
    if (this.sendConfirmed) running.push(this.sendConfirmed(event));
    // A failing listener must not prevent those of the last stages from being called: its error is thrown at the end.
    await Promise.allSettled(running);
    this.finish(event, running);
    await Promise.all(running);
  }

  private finish(event: DomainEvent, running: Promise<void>[]): void {
    void this.call('after', event, running);
    void this.call('publisher', event, running);
  }

  /** Calls the listeners of a stage. @returns `running` with the promises of those that are asynchronous. */
  private call(stage: EventStage, event: DomainEvent, running: Promise<void>[] = []): Promise<void>[] {
    for (const listener of this.listeners[stage]) {
      try {
        const result = listener(event);
        if (result) running.push(result);
      } catch (error) {
        running.push(
          Promise.resolve().then(() => {
            throw error;
          }),
        );
      }
    }
    return running;
  }
}

async function all(running: readonly Promise<void>[]): Promise<void> {
  await Promise.all(running);
}
