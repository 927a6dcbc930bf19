import type { ObjectId } from 'mongodb';
import { setImmediate as endOfTurn } from 'node:timers/promises';
import type { Transactions } from '../../db/transaction';
import type { Logger } from '../../utils/logger';
import type { DomainEvent } from '../kernel/domain-events';
import type { EventBus } from '../kernel/event-bus';
import type { AudienceIndex } from './audience-index';
import type { UserAudiences } from './read-access';

/** Users whose audiences are read at the same time when a node has died. */
const CONCURRENCY = 8;
/** How often the audiences of a user are read again if they change meanwhile. */
const MAX_ATTEMPTS = 10;

/** The dependencies of AudienceRefresh. */
export interface AudienceRefreshDeps {
  transactions: Pick<Transactions, 'outside'>;
  audiences: AudienceIndex;
  bus: EventBus;
  /** Reads the audiences of a user from the database. */
  read: (userId: ObjectId) => Promise<UserAudiences>;
  logger: Pick<Logger, 'warn'>;
}

/**
 * With several nodes: reads the audiences of connected users from the database where events are not enough.
 *
 * - Who has gained access: events of different nodes arrive in any order, so a delayed one could undo a removal that was
 *   decided later. The index takes access away by an event, and gives it only by what was read.
 * - When a node has died: it may have written a change without publishing it.
 */
export class AudienceRefresh {
  /** The reads that have not begun, by user: they serve all events of a turn. */
  private readonly due = new Map<string, Promise<void>>();

  constructor(private readonly deps: AudienceRefreshDeps) {
    deps.bus.subscribe((event) => this.handle(event));
  }

  private handle(event: DomainEvent): Promise<void> | undefined {
    const { audiences } = this.deps;
    if (event.type === 'node.left') return event.isDead ? this.refreshAll() : undefined;
    const userId = grantedTo(event);
    return userId && audiences.readsGrantsOf(userId) ? this.refreshSoon(userId) : undefined;
  }

  private async refreshAll(): Promise<void> {
    const users = this.deps.audiences.usersOfThisNode();
    const work = async (): Promise<void> => {
      for (let userId; (userId = users.pop());) await this.refreshSoon(userId);
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, work));
  }

  /** Reads the audiences of a user at the end of the turn. A failure is logged: what has happened has happened. */
  private refreshSoon(userId: ObjectId): Promise<void> {
    const { transactions, logger } = this.deps;
    const key = userId.toHexString();
    const known = this.due.get(key);
    if (known) return known;
    const refreshed = transactions.outside(async () => {
      await endOfTurn();
      this.due.delete(key);
      await this.refresh(userId).catch((error: unknown) =>
        logger.warn({ err: error }, 'the audiences of a user could not be read'),
      );
    });
    this.due.set(key, refreshed);
    return refreshed;
  }

  private async refresh(userId: ObjectId): Promise<void> {
    const { audiences, read } = this.deps;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const mark = audiences.mark();
      const current = await read(userId);
      // The user may have disconnected.
      if (!audiences.readsGrantsOf(userId) || audiences.enter(userId, current, mark)) return;
    }
    throw new Error('The audiences of a user change faster than they can be read.');
  }
}

/** The user to whom an event may have given access. */
function grantedTo(event: DomainEvent): ObjectId | undefined {
  switch (event.type) {
    case 'group.created':
      return event.owner.userId;
    case 'member.added':
      return event.membership.userId;
    case 'channel_ban.ended':
    case 'channel_member.added':
      return event.userId;
    default:
      return undefined;
  }
}
