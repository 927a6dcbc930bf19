import type { Socket as EngineSocket } from 'engine.io';
import { METRICS } from '../services/kernel/metrics';
import type { Counter, Telemetry } from '../services/kernel/telemetry';

/** The part of a backlog that is measured. */
interface Waiting {
  /** The bytes that wait for the client. */
  readonly bytes: number;
}

/** Counts broadcasts, and measures open connections when the metrics are read. */
export class SocketMetrics {
  private readonly connections = new Map<EngineSocket, Waiting>();
  private readonly events: Counter<'event'>;
  /** How often each event was broadcast. */
  private readonly sent = new Map<string, { count: number }>();
  private deliveries = 0;

  constructor(telemetry: Telemetry) {
    this.events = telemetry.counter(METRICS.eventsSent);
    telemetry.counter(METRICS.deliveries).observe({}, () => this.deliveries);
    for (const transport of ['websocket', 'polling']) {
      telemetry.gauge(METRICS.transports).observe({ transport }, () => this.countOf(transport));
    }
    const backlogs = () => [...this.connections.values()].map(({ bytes }) => bytes);
    telemetry
      .gauge(METRICS.backlogBytes)
      .observe({}, () => backlogs().reduce((sum, bytes) => sum + bytes, 0));
    telemetry
      .gauge(METRICS.largestBacklogBytes)
      .observe({}, () => backlogs().reduce((most, bytes) => Math.max(most, bytes), 0));
  }

  /** Measures a connection until it is closed. */
  watch(conn: EngineSocket, waiting: Waiting): void {
    this.connections.set(conn, waiting);
    conn.once('close', () => this.connections.delete(conn));
  }

  /** Counts an event that was broadcast. It is called for every message, so it only adds to numbers. */
  recordBroadcast(event: string, recipients: number): void {
    this.deliveries += recipients;
    const known = this.sent.get(event);
    if (known) {
      known.count++;
      return;
    }
    const first = { count: 1 };
    this.sent.set(event, first);
    this.events.observe({ event }, () => first.count);
  }

  private countOf(transport: string): number {
    let count = 0;
    for (const conn of this.connections.keys()) if (conn.transport.name === transport) count++;
    return count;
  }
}
