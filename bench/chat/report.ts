import type { Comparison, ServerFigures } from '../chat-bench';
import type { HistoryCost } from './history';
import type { Percentiles } from './load-generator';

/** Both servers side by side, and the ratio Parley / bare, as a Markdown table. */
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
      // Of few connections it drowns in what else comes and goes.
      ...(members === most
        ? [row('memory of an idle connection, KiB', ({ idleConnection }) => idleConnection / 1024, 1)]
        : []),
    ];
  });
  return table(['members', 'what', 'bare Socket.IO', 'Parley', 'ratio'], rows);
}

/** What reading costs in small and large channels, as a Markdown table. */
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
