import type { ObjectId } from 'mongodb';
import type { Transactions } from '../db/transaction';
import type { Message } from '../models/message.model';
import type { RevocationReason } from '../models/session.model';
import type { GlobalRole } from '../models/user.model';

/** Who an event is for. */
export type Audience =
  /** All members of a group. */
  | { kind: 'group'; groupId: ObjectId }
  /** The members of a private channel. */
  | { kind: 'channel'; channelId: ObjectId };

/** What has happened, published after it is durable. */
export type DomainEvent =
  | { type: 'message.created' | 'message.updated' | 'message.deleted'; message: Message; audience: Audience }
  | { type: 'member.added' | 'member.removed'; groupId: ObjectId; userId: ObjectId }
  | { type: 'channel_member.added'; channelId: ObjectId; groupId: ObjectId; userId: ObjectId }
  | { type: 'channel_member.removed'; channelId: ObjectId; userId: ObjectId }
  /** The channel is gone, or public from now on: it has no members of its own any more. */
  | { type: 'channel_members.cleared'; channelId: ObjectId }
  | { type: 'session.revoked'; sessionId: ObjectId; userId: ObjectId; reason: RevocationReason }
  /** The role or the state of an account is another one now. */
  | { type: 'user.changed'; userId: ObjectId; role: GlobalRole };

export type EventListener = (event: DomainEvent) => void | Promise<void>;

/**
 * Carries domain events from the services to whoever reacts to them: open sockets, caches.
 * Listeners are called in the order of publishing, and synchronously up to their first await.
 */
export class EventBus {
  private readonly listeners = new Set<EventListener>();

  constructor(private readonly transactions: Transactions) {}

  /** @returns a function that ends the subscription. */
  subscribe(listener: EventListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Resolves when every listener has done its part. A service awaits it, so that a removal has taken effect
   * on open sockets before the call that caused it returns. In a transaction, the event waits for the commit,
   * and `Transactions.run` for the listeners.
   */
  publish(event: DomainEvent): Promise<void> {
    return this.transactions.afterCommit(async () => {
      await Promise.all([...this.listeners].map(async (listener) => listener(event)));
    });
  }
}
