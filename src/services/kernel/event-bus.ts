import type { Transactions } from '../../db/transaction';
import { DOMAIN_EVENTS, type DomainEvent } from './domain-events';

/**
 * When a listener is called:
 * - `before`: on the node that publishes the event, before all other listeners.
 * - `everywhere`: on every node that receives the event. For state in memory: caches, audiences, open sockets.
 * - `after`: on the node that publishes the event, when it has taken effect on all nodes that receive it.
 */
export type EventStage = 'before' | 'everywhere' | 'after';

export type EventListener = (event: DomainEvent) => void | Promise<void>;

/**
 * Delivers domain events from the services to listeners. In each stage, listeners are called in the order
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
   * @param send resolves when they have taken effect there. It must not fail, since the event has already happened.
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
        // A failing listener must not prevent those of the last stage from being called: its error is thrown at the end.
        await Promise.allSettled(running);
      }
      running.push(...this.call('after', event));
      if (running.length > 0) await Promise.all(running);
    });
  }

  /** Delivers an event of another node, or one that concerns this node alone. */
  async deliver(event: DomainEvent): Promise<void> {
    await Promise.all(this.call('everywhere', event));
  }

  /** Calls the listeners of a stage. @returns the promises of those that are asynchronous. */
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
