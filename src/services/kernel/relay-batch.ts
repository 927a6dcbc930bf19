import { deserialize, serialize } from 'bson';
import { DOMAIN_EVENTS, type DomainEvent, type EventTraits } from './domain-events';

/** What a node says about a batch of its events. */
export interface BatchHeader {
  /** The id of the node that sends it. */
  from: string;
  /** The number of the batch among those of that node: each is greater by one. A batch without events has the last one. */
  number: number;
  /** Whether the sender waits for a confirmation that the events have taken effect. */
  confirm?: true;
  /** The sender has started, or may have missed events: it asks the other nodes for their state. */
  hello?: true;
  /** The sender stops. */
  leaving?: true;
  /** Of a sender that stops: how long its clients take to connect to other nodes, in milliseconds from now. */
  returning?: number;
}

const LENGTH_BYTES = 4;
const TRAITS: ReadonlyMap<string, EventTraits> = new Map(Object.entries(DOMAIN_EVENTS));

/** Encodes a BSON document. Fields that are undefined are left out. */
export function encodeDocument(document: object): Uint8Array {
  return serialize(document, { ignoreUndefined: true });
}

/** Encodes a batch: BSON documents one after the other, the header first. @param events as encoded by encodeDocument */
export function encodeBatch(header: BatchHeader, events: readonly Uint8Array[]): Buffer {
  return Buffer.concat([encodeDocument(header), ...events]);
}

/**
 * Reads the header of a batch.
 * @returns it, and the rest of the batch: its events, for `decodeEvents`. A heartbeat has none.
 * @throws Error if it is malformed
 */
export function decodeHeader(batch: Buffer): { header: BatchHeader; rest: Buffer } {
  const end = endOfDocument(batch, 0);
  const header = deserialize(batch.subarray(0, end)) as BatchHeader;
  if (typeof header.from !== 'string' || !Number.isSafeInteger(header.number)) {
    throw new Error('The batch has no header.');
  }
  return { header, rest: batch.subarray(end) };
}

/**
 * Decodes the events of a batch. Those of an unknown type are left out: a node of a later version may have sent them.
 * @throws Error if they are malformed, or one of them is not for all nodes
 */
export function decodeEvents(rest: Buffer): DomainEvent[] {
  const events: DomainEvent[] = [];
  for (let start = 0; start < rest.length;) {
    const end = endOfDocument(rest, start);
    const event = deserialize(rest.subarray(start, end)) as DomainEvent;
    start = end;
    const traits = TRAITS.get(event.type);
    if (!traits) continue;
    if (traits.scope === 'node') throw new Error(`An event of the type ${event.type} is not for all nodes.`);
    events.push(event);
  }
  return events;
}

function endOfDocument(bytes: Buffer, start: number): number {
  if (bytes.length - start < LENGTH_BYTES) throw new Error('The batch is cut off.');
  const end = start + bytes.readInt32LE(start);
  if (end <= start || end > bytes.length) throw new Error('The batch has a document of a wrong length.');
  return end;
}
