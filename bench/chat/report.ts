import type { Comparison, ServerFigures } from '../chat-bench';
import type { HistoryCost } from './history';
import type { Percentiles } from './load-generator';

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
      row(`processor time at ${rate}/s, ms/s`, ({ atRate }) => atRate.cpu),
      // With few connections, the memory per connection is lost in the noise.
      ...(members === most
        ? [row('memory of an idle connection, KiB', ({ idleConnection }) => idleConnection / 1024, 1)]
        : []),
    ];
  });
  return table(['members', 'what', 'bare Socket.IO', 'Parley', 'ratio'], rows);
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
