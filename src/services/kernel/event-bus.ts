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
    return this.transactions.afterCommit(() => this.announce(event));
  }

  /** Delivers an event of another node, or one that concerns this node alone. */
  async deliver(event: DomainEvent): Promise<void> {
    await Promise.all(this.call('everywhere', event));
  }

  private announce(event: DomainEvent): Promise<void> {
    const running = this.call('everywhere', event, this.call('before', event));
    if (DOMAIN_EVENTS[event.type].scope === 'all') return this.announceToAll(event, running);
    void this.call('after', event, running);
    return running.length === 0 ? DONE : all(running);
  }

  private async announceToAll(event: DomainEvent, running: Promise<void>[]): Promise<void> {
    if (this.sendToOtherNodes) running.push(this.sendToOtherNodes(event));
    // A failing listener must not prevent those of the last stage from being called: its error is thrown at the end.
    await Promise.allSettled(running);
    await Promise.all(this.call('after', event, running));
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
