import { Binary, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { DomainEvent } from './domain-events';
import { decodeEvents } from './relay-batch';

/**
 * How far back events are read. It must exceed the differences between the clocks of the nodes, and the time that a write
 * may take; the TTL index removes them later.
 */
const WINDOW_MS = 60_000;

/** Passes events to the other nodes through the database, when Redis cannot: each node reads it at a short interval. */
export class StoredEvents {
  /** The events in the window that have been read, with the times when they were stored. */
  private readonly read = new Map<string, number>();

  constructor(
    private readonly collections: Pick<Collections, 'relayedEvents'>,
    private readonly transactions: Pick<Transactions, 'outside'>,
    private readonly nodeId: string,
  ) {}

  /** Stores an event. @param event as encoded by `encodeDocument` */
  async store(event: Uint8Array): Promise<void> {
    const document = { _id: new ObjectId(), from: this.nodeId, at: new Date(), event: new Binary(event) };
    await this.transactions.outside(() => this.collections.relayedEvents.insertOne(document));
  }

  /** Returns the events of other nodes that it has not returned before, in the order of their times. */
  async next(signal: AbortSignal): Promise<DomainEvent[]> {
    const start = Date.now() - WINDOW_MS;
    const found = await this.collections.relayedEvents
      .find({ at: { $gte: new Date(start) } }, { signal })
      .sort({ at: 1 })
      .toArray();
    for (const [id, at] of this.read) if (at < start) this.read.delete(id);
    const fresh = found.filter(({ _id, from }) => from !== this.nodeId && !this.read.has(_id.toHexString()));
    for (const { _id, at } of fresh) this.read.set(_id.toHexString(), at.getTime());
    return fresh.flatMap(({ event }) => decode(event));
  }
}

/** An event that cannot be read may have taken a right away, and must not keep the others from being delivered. */
function decode(event: Binary): DomainEvent[] {
  try {
    return decodeEvents(Buffer.from(event.buffer));
  } catch {
    return [{ type: 'events.missed' }];
  }
}
