import type { Transactions } from '../../db/transaction';
import { DOMAIN_EVENTS, type DomainEvent } from './domain-events';

/**
 * When a listener is called:
 * - `before`: on the node that publishes the event, before anything follows from it.
 * - `everywhere`: on every node that receives the event. For what is kept in memory: caches, audiences, open sockets.
 * - `after`: on the node that publishes the event, when it has taken effect on all nodes that receive it.
 */
export type EventStage = 'before' | 'everywhere' | 'after';

export type EventListener = (event: DomainEvent) => void | Promise<void>;

/**
 * Delivers domain events from the services to whoever reacts to them. In each stage, listeners are called in the order
 * in which they subscribed, and synchronously up to their first await.
 */
export class EventBus {
  private readonly listeners: Record<EventStage, Set<EventListener>> = {
    before: new Set(),
    everywhere: new Set(),
    after: new Set(),
  };
  private sendToOtherNodes: ((event: DomainEvent) => Promise<void>) | undefined;

  constructor(private readonly transactions: Transactions) {}

  /** @returns a function that ends the subscription. */
  subscribe(listener: EventListener, stage: EventStage = 'everywhere'): () => void {
    this.listeners[stage].add(listener);
    return () => this.listeners[stage].delete(listener);
  }

  /**
   * Sends events with the scope `all` to the other nodes, too.
   * @param send resolves when they have taken effect there. It must not fail: what an event reports has happened.
   */
  connectNodes(send: (event: DomainEvent) => Promise<void>): void {
    this.sendToOtherNodes = send;
  }

  /**
   * Publishes an event. In a transaction it waits for the commit, and `Transactions.run` for the listeners.
   *
   * Resolves when every listener is done, on the other nodes as well if the scope of the event is `all`. Services await
   * it, so that a removal has taken effect on open sockets before the call that caused it returns. An event with the
   * scope `node` reaches the synchronous part of all its listeners before `publish` yields.
   */
  publish(event: DomainEvent): Promise<void> {
    return this.transactions.afterCommit(async () => {
      const running = [...this.call('before', event), ...this.call('everywhere', event)];
      if (DOMAIN_EVENTS[event.type].scope === 'all') {
        if (this.sendToOtherNodes) running.push(this.sendToOtherNodes(event));
        // A listener that fails must not keep those of the last stage from their part: its error comes at the end.
        await Promise.allSettled(running);
      }
      running.push(...this.call('after', event));
      if (running.length > 0) await Promise.all(running);
    });
  }

  /** Lets this node follow what has happened on another one, or what concerns this node alone. */
  async deliver(event: DomainEvent): Promise<void> {
    await Promise.all(this.call('everywhere', event));
  }

  /** @returns the work of those listeners that are not done at once. */
  private call(stage: EventStage, event: DomainEvent): Promise<void>[] {
    return [...this.listeners[stage]].flatMap((listener) => {
      try {
        return listener(event) ?? [];
      } catch (error) {
        return Promise.resolve().then(() => {
          throw error;
        });
      }
    });
  }
}
