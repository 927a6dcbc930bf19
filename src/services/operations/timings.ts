import type { Histogram, Telemetry } from '../kernel/telemetry';

/** How long calls of one kind took, in milliseconds. */
export interface Timing {
  name: string;
  count: number;
  p50: number;
  p95: number;
  max: number;
}

/** How long each route and each socket event has taken since the start of the process. */
export class Timings {
  private readonly durations: Histogram<{ operation: string }>;

  constructor(telemetry: Telemetry) {
    this.durations = telemetry.histogram({
      name: 'operation_duration_ms',
      help: 'How long calls of routes and socket events took.',
      labels: ['operation'],
    });
  }

  /** @param operation one of the routes and events that there are, as it is declared. */
  record(operation: string, milliseconds: number): void {
    this.durations.record({ operation }, milliseconds);
  }

  /** The operations with the highest 95th percentile, in descending order. */
  slowest(limit: number): Timing[] {
    return this.durations
      .series()
      .map(({ labels, count, max, quantile }) => ({
        name: labels.operation,
        count,
        p50: rounded(quantile(0.5)),
        p95: rounded(quantile(0.95)),
        max: rounded(max),
      }))
      .sort((one, other) => other.p95 - one.p95)
      .slice(0, limit);
  }
}

const rounded = (milliseconds: number) => Math.round(milliseconds * 100) / 100;
