import type { Comparison, ServerFigures } from '../chat-bench';
import type { HistoryCost } from './history';
import type { Percentiles } from './load-generator';
import { median, type Scenario, type ScenarioFigures } from './many-channels';
import type { Measured } from './measure';

/** Returns a Markdown table of both servers side by side, with the ratio of Parley to the bare server. */
export function chatTable(comparisons: readonly Comparison[]): string {
  const most = Math.max(...comparisons.map(({ members }) => members));
  const rows = comparisons.flatMap(({ members, rate, bare, parley }) => {
    const row = (what: string, figure: (figures: ServerFigures) => number, digits = 0): string[] => {
      const [one, other] = [figure(bare), figure(parley)];
      return [String(members), what, one.toFixed(digits), other.toFixed(digits), (other / one).toFixed(2)];
    };
    const latency = (what: string, of: (figures: ServerFigures) => Percentiles): string[] => [
      String(members),
      `${what}, p50 / p95 / p99, ms`,
      triple(of(bare)),
      triple(of(parley)),
      (of(parley).p50 / of(bare).p50).toFixed(2),
    ];
    return [
      row('messages/s, saturated', ({ saturated }) => saturated.messagesPerSecond),
      row('deliveries/s, saturated', ({ saturated }) => saturated.deliveriesPerSecond),
      latency('send to ack, saturated', ({ saturated }) => saturated.ack),
      latency(`send to ack at ${rate}/s`, ({ atRate }) => atRate.ack),
      latency(`send to delivery at ${rate}/s`, ({ atRate }) => atRate.delivery),
      row(`processor time at ${rate}/s, ms/s`, ({ atRate }) => atRate.cpu.all / atRate.seconds),
      // With few connections, the memory per connection is lost in the noise.
      ...(members === most
        ? [row('memory of an idle connection, KiB', ({ idleConnection }) => idleConnection / 1024, 1)]
        : []),
    ];
  });
  return table(['members', 'what', 'bare Socket.IO', 'Parley', 'ratio'], rows);
}

/** Returns a Markdown table of the scenarios of many channels: the medians of all rounds, with the lowest and highest. */
export function channelsTable(figures: readonly ScenarioFigures[]): string {
  const rows = figures.flatMap(({ scenario, loads }) =>
    loads.flatMap(({ load, bare, parley }) => {
      const row = (what: string, of: (measured: Measured) => number | undefined, digits = 0): string[] => {
        const [one, other] = [known(bare, of), known(parley, of)];
        const ratio = one.length > 0 && other.length > 0 ? (median(other) / median(one)).toFixed(2) : '';
        return [nameOf(scenario), load, what, spread(one, digits), spread(other, digits), ratio];
      };
      const perMessage = (of: (measured: Measured) => number | undefined) => (measured: Measured) => {
        const value = of(measured);
        return value === undefined ? undefined : value / measured.messages;
      };
      const perBatch = (of: 'sends' | 'channels') => (measured: Measured) => {
        const value = measured.counters?.[of];
        return value === undefined ? undefined : value / measured.counters!.batches;
      };
      const microseconds = (of: 'all' | 'main' | 'store') =>
        perMessage(({ cpu }) => (cpu[of] === undefined ? undefined : cpu[of] * 1000));
      return [
        row('messages/s', ({ messagesPerSecond }) => messagesPerSecond),
        row('send to ack, p50, ms', ({ ack }) => ack.p50, 1),
        row('send to ack, p99, ms', ({ ack }) => ack.p99, 1),
        row('send to delivery, p50, ms', ({ delivery }) => delivery.p50, 1),
        row('send to delivery, p99, ms', ({ delivery }) => delivery.p99, 1),
        row('processor time per message, all threads, µs', microseconds('all')),
        row('processor time per message, main thread, µs', microseconds('main')),
        row('processor time per message, thread of the store, µs', microseconds('store')),
        row('messages per batch', perBatch('sends'), 1),
        row('channels per batch', perBatch('channels'), 1),
        row(
          'round trips to the database per message',
          perMessage(({ counters }) => counters?.commands),
          2,
        ),
      ].filter(([, , , one, other]) => one !== '' || other !== '');
    }),
  );
  return table(['channels', 'load', 'what', 'bare Socket.IO', 'Parley', 'ratio'], rows);
}

/** Returns the name of a scenario for people. */
export function nameOf({ channels, members, senders, direct }: Scenario): string {
  const name = `${channels.toLocaleString('en')} ${direct ? 'direct' : `× ${members}`}`;
  return senders === 1 ? name : `${name}, ${senders} senders each`;
}

function known(rounds: readonly Measured[], of: (measured: Measured) => number | undefined): number[] {
  return rounds.map(of).filter((value) => value !== undefined);
}

/** Returns the median and, of several values, the lowest and the highest; nothing without values. */
function spread(values: readonly number[], digits: number): string {
  if (values.length === 0) return '';
  const middle = median(values).toFixed(digits);
  if (values.length === 1) return middle;
  return `${middle} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
}

/** Returns a Markdown table of the cost of reading in small and large channels. */
export function historyTable(history: readonly HistoryCost[]): string {
  const rows = history.map(({ messages, newestPage, middlePage, summary }) => [
    messages.toLocaleString('en'),
    ...[newestPage, middlePage, summary].map((time) => time.toFixed(2)),
  ]);
  return table(
    ['messages in the channel', 'newest page of 50, ms', 'page in the middle, ms', 'summary with unread, ms'],
    rows,
  );
}

function triple({ p50, p95, p99 }: Percentiles): string {
  return [p50, p95, p99].map((time) => time.toFixed(1)).join(' / ');
}

function table(head: string[], rows: string[][]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
