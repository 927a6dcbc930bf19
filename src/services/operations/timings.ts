import type { Histogram, Telemetry } from '../kernel/telemetry';

/** The durations of one operation in milliseconds. */
export interface Timing {
  name: string;
  count: number;
  p50: number;
  p95: number;
  max: number;
}

/** Measures how long routes and socket events take, since the start of the process. */
export class Timings {
  private readonly durations: Histogram<{ operation: string }>;

  constructor(telemetry: Telemetry) {
    this.durations = telemetry.histogram({
      name: 'operation_duration_ms',
      help: 'Durations of calls of routes and socket events.',
      labels: ['operation'],
    });
  }

  /** Records the duration of a call. @param operation a declared route or socket event. */
  record(operation: string, milliseconds: number): void {
    this.durations.record({ operation }, milliseconds);
  }

  /** Lists the operations with the highest 95th percentile, in descending order. */
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
