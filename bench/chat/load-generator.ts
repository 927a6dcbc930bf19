import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { LightClient } from './light-client';

/** The message of the load generator when all clients are connected. It continues when it receives a message. */
export interface Connected {
  connected: number;
}

/** The task of the load generator. */
export interface LoadPlan {
  url: string;
  channelId: string;
  /** The access tokens of the members of the channel; each has one connection. */
  tokens: string[];
  /** How many members send messages. */
  senders: number;
  /** The concurrent sends of each sender. */
  window: number;
  /** The messages per second of all senders together, independent of the answers; undefined for the maximum. */
  rate?: number;
  seconds: number;
}

/** The results. Times are in milliseconds. */
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
const SAMPLE_INTERVAL_INTERVAL = 16;
/** How long the last deliveries may take after the last acknowledgement. */
const DRAIN_TIMEOUT_MS_TIMEOUT_MS = 60_000;

/** Each message begins with the time of sending. */
const bodyOf = (now: number) =>
  `${now.toFixed(3)} The quick brown fox jumps over the lazy dog while people chat.`;
const sentAt = (packet: string) => Number(/"body":"([\d.]+) /.exec(packet)?.[1]);

let run = 0;

/** Connects all clients. @returns a function that runs a load on these connections. */
async function connectAll({ url, tokens }: LoadPlan) {
  const latencies: number[] = [];
  const state = { deliveries: 0, lastDelivery: 0 };
  const listener = {
    delivered: (packet: string) => {
      state.deliveries++;
      state.lastDelivery = performance.now();
      if (state.deliveries % SAMPLE_INTERVAL_INTERVAL === 0)
        latencies.push(state.lastDelivery - sentAt(packet));
    },
  };
  const clients: LightClient[] = [];
  for (const token of tokens) clients.push(await LightClient.connect(url, token, listener));
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
  while (state.deliveries < expected && performance.now() < allSent + DRAIN_TIMEOUT_MS_TIMEOUT_MS)
    await wait(5);
  if (state.deliveries !== expected) {
    throw new Error(`${expected} deliveries were expected, but ${state.deliveries} arrived.`);
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

/** Keeps idle connections open until it receives a message. */
async function idle(plan: LoadPlan): Promise<void> {
  const { clients } = await connectAll(plan);
  process.send?.({ connected: clients.length });
  process.once('message', () => process.exit());
}

process.once('message', (message: { kind: 'load' | 'idle'; plan: LoadPlan }) => {
  const work = message.kind === 'idle' ? idle(message.plan) : load(message.plan).then(sendResult);
  work.catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
});

function sendResult(result: LoadResult): void {
  process.send?.(result, () => process.exit());
}
