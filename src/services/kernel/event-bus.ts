import type { ObjectId } from 'mongodb';
import type { Transactions } from '../../db/transaction';
import type { ServerEvent, ServerPayload } from '../../models/kernel/server-events.model';
import type { MaintenanceState } from '../../models/operations/maintenance.model';
import type { Preferences } from '../../models/users/preferences.model';
import type { PresenceStatus } from '../../models/presence/presence.model';
import type { RevocationReason } from '../../models/identity/session.model';

/** Who an event is for. */
export type Audience =
  | { kind: 'everyone' }
  /** Some people, on all their devices. */
  | { kind: 'users'; userIds: ObjectId[] }
  /** All members of a group. */
  | { kind: 'group'; groupId: ObjectId; leaveOut?: ObjectId[] }
  /** All members of a group but those who are banned from this channel of it. */
  | { kind: 'public_channel'; groupId: ObjectId; channelId: ObjectId; leaveOut?: ObjectId[] }
  /** The members of a private channel or of a direct conversation. */
  | { kind: 'channel'; channelId: ObjectId; leaveOut?: ObjectId[] };

/** Those who hear a channel. */
export type ChannelAudience = Extract<Audience, { kind: 'public_channel' | 'channel' }>;

/** Somebody is seen another way. It concerns those who meet them in a group or in a private channel. */
export interface PresenceChange {
  userId: string;
  status: PresenceStatus;
  groupIds: string[];
  channelIds: string[];
}

/** What open clients are told. */
export type ClientEventOf<Name extends ServerEvent> = {
  type: 'client';
  name: Name;
  payload: ServerPayload<Name>;
  audience: Audience;
};

/** What has happened, published after it is durable. */
export type DomainEvent =
  | { [Name in ServerEvent]: ClientEventOf<Name> }[ServerEvent]
  | { type: 'member.added' | 'member.removed'; groupId: ObjectId; userId: ObjectId }
  /** The group is gone. */
  | { type: 'group.deleted'; groupId: ObjectId }
  | { type: 'channel_member.added'; channelId: ObjectId; groupId: ObjectId | null; userId: ObjectId }
  | { type: 'channel_member.removed'; channelId: ObjectId; userId: ObjectId }
  /** The channel is gone, or public from now on: it has no members of its own any more. */
  | { type: 'channel_members.cleared'; channelId: ObjectId }
  /** A user may not read a channel any more. */
  | { type: 'channel_ban.added'; channelId: ObjectId; userId: ObjectId }
  /** A user may read a channel again, if they are in it: in its group, or in the members of a private one. */
  | {
      type: 'channel_ban.ended';
      channelId: ObjectId;
      groupId: ObjectId;
      userId: ObjectId;
      isMember: boolean;
    }
  | { type: 'session.revoked'; sessionId: ObjectId; userId: ObjectId; reason: RevocationReason }
  /** The role or the state of an account is another one now. */
  | { type: 'user.changed'; userId: ObjectId }
  | { type: 'preferences.changed'; userId: ObjectId; preferences: Preferences }
  /** One of the two has blocked the other, or has ended that. */
  | { type: 'block.changed'; userId: ObjectId; blockedId: ObjectId }
  | { type: 'presence.changed'; changes: PresenceChange[] }
  | { type: 'maintenance.changed'; state: MaintenanceState }
  /** What happened on other nodes may have passed this one by: what it knows from memory may be wrong. */
  | { type: 'events.missed' };

export type EventListener = (event: DomainEvent) => void | Promise<void>;

/**
 * Carries domain events from the services to whoever reacts to them: open sockets, caches.
 * Listeners are called in the order of publishing, and synchronously up to their first await.
 */
export class EventBus {
  private readonly listeners = new Set<EventListener>();
  private toOtherNodes: EventListener | undefined;

  constructor(private readonly transactions: Transactions) {}

  /** @returns a function that ends the subscription. */
  subscribe(listener: EventListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** What is published here goes to the other nodes too. `send` must not fail: what it carries has happened. */
  connectNodes(send: EventListener): void {
    this.toOtherNodes = send;
  }

  /** Tells open clients something; as `publish`. */
  tell<Name extends ServerEvent>(
    audience: Audience,
    name: Name,
    payload: ServerPayload<Name>,
  ): Promise<void> {
    const event: ClientEventOf<Name> = { type: 'client', name, payload, audience };
    return this.publish(event as DomainEvent);
  }

  /**
   * Resolves when every listener has done its part. A service awaits it, so that a removal has taken effect
   * on open sockets before the call that caused it returns: on the other nodes, too, where there are any. In a
   * transaction, the event waits for the commit, and `Transactions.run` for the listeners.
   */
  publish(event: DomainEvent): Promise<void> {
    return this.transactions.afterCommit(async () => {
      await Promise.all([this.deliver(event), this.toOtherNodes?.(event)]);
    });
  }

  /** Lets this node react to what has happened on another one. */
  async deliver(event: DomainEvent): Promise<void> {
    await Promise.all([...this.listeners].map(async (listener) => listener(event)));
  }
}
