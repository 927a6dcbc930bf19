import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { LightClient } from './light-client';

/** What the load generator says once everybody is connected; it goes on when it is sent something. */
export interface Connected {
  connected: number;
}

/** What the load generator is to do. */
export interface LoadPlan {
  url: string;
  channelId: string;
  /** The access tokens of the members of the channel; each has one connection. */
  tokens: string[];
  /** How many of them write. */
  senders: number;
  /** Sends that each sender has under way at once, as many a second as go through. */
  window: number;
  /** Messages per second of all senders together, however long the answers take; undefined: as many as go. */
  rate?: number;
  seconds: number;
}

/** What came of it. Times are milliseconds. */
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

/** Deliveries whose latency is looked at: one in so many, for looking costs the generator time. */
const SAMPLE = 16;
/** How long the last deliveries may take to come in after the last acknowledgement. */
const DRAIN = 60_000;

/** Every body begins with the time at which it was sent. */
const bodyOf = (now: number) =>
  `${now.toFixed(3)} The quick brown fox jumps over the lazy dog while people chat.`;
const sentAt = (packet: string) => Number(/"body":"([\d.]+) /.exec(packet)?.[1]);

let run = 0;

/** Connects everybody. @returns what runs loads on these connections. */
async function connectAll({ url, tokens }: LoadPlan) {
  const latencies: number[] = [];
  const state = { deliveries: 0, lastDelivery: 0 };
  const ears = {
    delivered: (packet: string) => {
      state.deliveries++;
      state.lastDelivery = performance.now();
      if (state.deliveries % SAMPLE === 0) latencies.push(state.lastDelivery - sentAt(packet));
    },
  };
  const clients: LightClient[] = [];
  for (const token of tokens) clients.push(await LightClient.connect(url, token, ears));
  return { clients, latencies, state };
}

async function load(plan: LoadPlan): Promise<LoadResult> {
  const { clients, latencies, state } = await connectAll(plan);
  process.send?.({ connected: clients.length });
  await once(process, 'message');
  const acks: number[] = [];
  const id = `${process.pid}-${run++}`;
  let sent = 0;
  const send = async (client: LightClient) => {
    const number = sent++;
    const begun = performance.now();
    const answer = await client.ask('message:send', {
      channelId: plan.channelId,
      clientMessageId: `bench-${id}-${number}`,
      body: bodyOf(begun),
    });
    if (!answer.startsWith('[{"ok":true')) throw new Error(`A send was answered with ${answer}`);
    acks.push(performance.now() - begun);
  };
  const begun = performance.now();
  const end = begun + plan.seconds * 1000;
  const senders = clients.slice(0, plan.senders);
  await (plan.rate === undefined
    ? Promise.all(
        senders.flatMap((client) =>
          Array.from({ length: plan.window }, async () => {
            while (performance.now() < end) await send(client);
          }),
        ),
      )
    : sendAtRate(plan.rate, begun, end, (index) => send(senders[index % senders.length]!)));
  const allSent = performance.now();
  const expected = sent * clients.length;
  while (state.deliveries < expected && performance.now() < allSent + DRAIN) await wait(5);
  if (state.deliveries !== expected) {
    throw new Error(`${expected} deliveries were due, and ${state.deliveries} came.`);
  }
  for (const client of clients) client.close();
  const spent = (Math.max(allSent, state.lastDelivery) - begun) / 1000;
  return {
    messages: sent,
    deliveries: state.deliveries,
    seconds: spent,
    messagesPerSecond: sent / spent,
    deliveriesPerSecond: state.deliveries / spent,
    ack: percentiles(acks),
    delivery: percentiles(latencies),
  };
}

/** Sends at fixed times, so that a slow answer does not make the load lighter. */
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

/** Holds connections that say nothing until it is told to let go. */
async function idle(plan: LoadPlan): Promise<void> {
  const { clients } = await connectAll(plan);
  process.send?.({ connected: clients.length });
  process.once('message', () => process.exit());
}

process.once('message', (message: { kind: 'load' | 'idle'; plan: LoadPlan }) => {
  const work = message.kind === 'idle' ? idle(message.plan) : load(message.plan).then(tell);
  work.catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});

function tell(result: LoadResult): void {
  process.send?.(result, () => process.exit());
}
