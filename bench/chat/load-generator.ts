import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { LightClient } from './light-client';

/** The connections that a load generator opens and keeps. It is the first message that the generator receives. */
export interface ConnectPlan {
  /** The servers, to which the connections are distributed in turn. */
  urls: readonly string[];
  /** What each connection sends at the handshake. */
  handshakes: object[];
  channels: LoadChannel[];
}

/** A channel in which messages are sent. Its people are indices of connections. */
export interface LoadChannel {
  id: string;
  members: number[];
  senders: number[];
}

/** The answer of the load generator when all clients are connected. */
export interface Connected {
  connected: number;
}

/** A load: each further message that the generator receives. */
export interface Load {
  /** The concurrent sends of each sender in each channel. */
  window: number;
  /** The messages per second of all senders together, independent of the answers; undefined for the maximum. */
  rate?: number;
  seconds: number;
}

/** The answer to a load. Times are in milliseconds. */
export interface LoadResult {
  messages: number;
  deliveries: number;
  /** From the first send to the last delivery. */
  seconds: number;
  messagesPerSecond: number;
  deliveriesPerSecond: number;
  ack: Percentiles;
  delivery: Percentiles;
}

export interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

/** The latency of one in this many deliveries is measured, because measuring takes time, too. */
const SAMPLE_INTERVAL = 16;
/** How long the last deliveries may take after the last acknowledgement. */
const DRAIN_TIMEOUT_MS = 60_000;
/** How many clients connect at the same time. */
const CONNECTING = 16;

/** Each message begins with the time of sending. */
const bodyOf = (now: number) =>
  `${now.toFixed(3)} The quick brown fox jumps over the lazy dog while people chat.`;
const sentAt = (packet: string) => Number(/"body":"([\d.]+) /.exec(packet)?.[1]);

/** A sender in a channel. */
interface Sender {
  client: LightClient;
  channelId: string;
  /** How many connections receive each message. */
  receivers: number;
}

/** The connections of a plan. */
class Generator {
  private readonly latencies: number[] = [];
  private deliveries = 0;
  private lastDelivery = 0;
  private senders: Sender[] = [];
  private sent = 0;

  async connect({ urls, handshakes, channels }: ConnectPlan): Promise<void> {
    const listener = { delivered: (packet: string) => this.receive(packet), lost: fail };
    const clients: LightClient[] = [];
    let next = 0;
    const connectNext = async () => {
      while (next < handshakes.length) {
        const index = next++;
        clients[index] = await LightClient.connect(urls[index % urls.length]!, handshakes[index]!, listener);
      }
    };
    await Promise.all(Array.from({ length: CONNECTING }, connectNext));
    this.senders = channels.flatMap(({ id, members, senders }) =>
      senders.map((index) => ({ client: clients[index]!, channelId: id, receivers: members.length })),
    );
  }

  async run({ window, rate, seconds }: Load): Promise<LoadResult> {
    const acks: number[] = [];
    let messages = 0;
    let expected = 0;
    this.latencies.length = 0;
    this.deliveries = 0;
    const send = async (sender: Sender) => {
      messages++;
      expected += sender.receivers;
      acks.push(await this.send(sender));
    };
    const begun = performance.now();
    const end = begun + seconds * 1000;
    const sendUntilEnd = async (sender: Sender) => {
      while (performance.now() < end) await send(sender);
    };
    await (rate === undefined
      ? Promise.all(
          this.senders.flatMap((sender) => Array.from({ length: window }, () => sendUntilEnd(sender))),
        )
      : sendAtRate(rate, begun, end, (index) => send(this.senders[index % this.senders.length]!)));
    const allSent = performance.now();
    while (this.deliveries < expected && performance.now() < allSent + DRAIN_TIMEOUT_MS) await wait(5);
    if (this.deliveries !== expected) {
      throw new Error(`${expected} deliveries were expected, but ${this.deliveries} arrived.`);
    }
    const spent = (Math.max(allSent, this.lastDelivery) - begun) / 1000;
    return {
      messages,
      deliveries: expected,
      seconds: spent,
      messagesPerSecond: messages / spent,
      deliveriesPerSecond: expected / spent,
      ack: percentiles(acks),
      delivery: percentiles(this.latencies),
    };
  }

  /** @returns the milliseconds until the acknowledgement. */
  private async send({ client, channelId }: Sender): Promise<number> {
    const begun = performance.now();
    const answer = await client.ask('message:send', {
      channelId,
      clientMessageId: `bench-${process.pid}-${this.sent++}`,
      body: bodyOf(begun),
    });
    if (!answer.startsWith('[{"ok":true')) throw new Error(`A send was answered with ${answer}`);
    return performance.now() - begun;
  }

  private receive(packet: string): void {
    this.deliveries++;
    this.lastDelivery = performance.now();
    if (this.deliveries % SAMPLE_INTERVAL === 0) this.latencies.push(this.lastDelivery - sentAt(packet));
  }
}

/** Sends at fixed times, so that slow answers do not reduce the load. */
async function sendAtRate(
  rate: number,
  begun: number,
  end: number,
  send: (index: number) => Promise<void>,
): Promise<void> {
  const underWay: Promise<void>[] = [];
  for (let index = 0; ; index++) {
    const due = begun + (index / rate) * 1000;
    if (due >= end) break;
    const early = due - performance.now();
    if (early > 1) await wait(early);
    underWay.push(send(index));
  }
  await Promise.all(underWay);
}

function percentiles(values: number[]): Percentiles {
  const sorted = values.sort((one, other) => one - other);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

async function main(): Promise<void> {
  const [plan] = (await once(process, 'message')) as [ConnectPlan];
  const generator = new Generator();
  await generator.connect(plan);
  process.on('message', (load: Load) => {
    generator.run(load).then((result) => process.send?.(result), fail);
  });
  process.send?.({ connected: plan.handshakes.length } satisfies Connected);
}

// Also when the process that started it has ended.
process.once('disconnect', () => process.exit());
main().catch(fail);
