import { setTimeout as delay } from 'node:timers/promises';
import type { Collections } from '../../db/collections';
import type { Database } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import type { Logger } from '../../utils/logger';
import type { EventBus } from '../kernel/event-bus';
import type { Part } from '../kernel/lifecycle';
import type { NodeRegistry } from '../kernel/node-registry';
import type { NodeRelay } from '../kernel/node-relay';

/** The interval at which a node reads whether others have written. */
const POLL_MS = 500;
/** How long a node relies on such a read, from its beginning: a late one may be repeated. */
const TRUST_MS = 1500;

const COUNTER = { _id: 'access_writes' } as const;

/** The part of the database that reports the writes of this process. */
export type WatchedDatabase = Pick<Database, 'accessVersion' | 'onAccessWritten' | 'isSoleWriter'>;

/** The dependencies of AccessVersion. */
export interface AccessVersionDeps {
  database: WatchedDatabase;
  collections: Pick<Collections, 'accessWrites'>;
  transactions: Pick<Transactions, 'outside'>;
  bus: EventBus;
  nodes: Pick<NodeRegistry, 'id' | 'alive'>;
  relay: Pick<NodeRelay, 'send'> | undefined;
  logger: Pick<Logger, 'warn'>;
}

/**
 * A number that increases with every write, of any process, to what decides who may write to a channel. What was read at
 * one version is valid as long as it is current.
 *
 * On the only writer of a database it counts the writes of this process. Otherwise each write is announced before its
 * caller continues: it increments a counter in the database, and is sent to the other nodes, which confirm it. Each node
 * also reads the counter at an interval, and has no version while its last read is older than TRUST_MS. If a node does
 * not confirm, the writer waits for that time. So when a write has been answered, no node relies on what was before it,
 * even if Redis cannot be reached.
 */
export class AccessVersion implements Part {
  /** How often writes of other processes have been noticed. */
  private foreign = 0;
  /** The counter as it was last read. */
  private seen = -1;
  /** Until when the last read of the counter is relied on, by `performance.now()`. */
  private trustedUntil = -Infinity;
  private readonly stopping = new AbortController();
  private polling: Promise<void> | undefined;
  /** The announcement that is running, and the one that follows it. */
  private running: Promise<void> | undefined;
  private next: Promise<void> | undefined;
  private readonly removeListener: () => void;

  constructor(private readonly deps: AccessVersionDeps) {
    const { database, bus } = deps;
    bus.subscribe(({ type }) => {
      if (type === 'access.changed' || type === 'events.missed') this.foreign++;
    });
    this.removeListener = database.isSoleWriter
      ? () => {}
      : database.onAccessWritten(() => this.announceSoon());
  }

  /** Returns the version; undefined while writes of other processes may not have been noticed. */
  current(): number | undefined {
    const { database } = this.deps;
    if (!database.isSoleWriter && performance.now() >= this.trustedUntil) return undefined;
    return database.accessVersion() + this.foreign;
  }

  async start(): Promise<void> {
    if (this.deps.database.isSoleWriter) return;
    await this.poll();
    this.polling = this.pollRegularly();
  }

  async stop(): Promise<void> {
    this.removeListener();
    this.stopping.abort();
    await this.polling;
    this.trustedUntil = -Infinity;
  }

  private async pollRegularly(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await delay(POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
      // After a failure nothing is remembered until the database answers again.
      if (!signal.aborted) await this.poll().catch(() => undefined);
    }
  }

  private async poll(): Promise<void> {
    const startedAt = performance.now();
    // A stop does not wait for a database that cannot be reached.
    const { signal } = this.stopping;
    const counter = await this.deps.collections.accessWrites.findOne(COUNTER, { signal });
    this.notice(counter?.count ?? 0);
    this.trustedUntil = startedAt + TRUST_MS;
  }

  private notice(count: number): void {
    if (count !== this.seen) this.foreign++;
    this.seen = count;
  }

  /** Announces a write. Writes that wait at the same time are announced together. Never fails. */
  private announceSoon(): Promise<void> {
    this.next ??= this.deps.transactions.outside(async () => {
      await this.running;
      this.next = undefined;
      this.running = this.announce().catch((error: unknown) => {
        this.deps.logger.warn({ err: error }, 'a change of rights could not be announced to other nodes');
      });
      await this.running;
    });
    return this.next;
  }

  private async announce(): Promise<void> {
    const { collections, nodes, relay } = this.deps;
    const counter = await collections.accessWrites.findOneAndUpdate(
      COUNTER,
      { $inc: { count: 1 } },
      { upsert: true, returnDocument: 'after' },
    );
    // The version of this process has increased with the write itself.
    if (counter?.count === this.seen + 1) this.seen++;
    // A script does not wait for nodes.
    if (!this.polling) return;
    const noticedBy = performance.now() + TRUST_MS;
    const others = await nodes.alive();
    others.delete(nodes.id);
    if (others.size === 0) return;
    const confirmed = await relay?.send({ type: 'access.changed' });
    if ([...others].every((id) => confirmed?.has(id))) return;
    const { signal } = this.stopping;
    await delay(noticedBy - performance.now(), undefined, { signal }).catch(() => undefined);
  }
}
