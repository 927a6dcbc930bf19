import { METRICS } from '../kernel/metrics';
import type { Counter, Histogram, HistogramSeries, Telemetry } from '../kernel/telemetry';

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
  private readonly requests: Counter<'method' | 'route' | 'status'>;
  private readonly requestDurations: Histogram<'method' | 'route'>;
  private readonly eventDurations: Histogram<'event'>;
  private readonly eventErrors: Counter<'event' | 'code'>;
  /** The longest duration in seconds, by operation; a histogram does not have it. */
  private readonly longest = new Map<string, number>();

  constructor(telemetry: Telemetry) {
    this.requests = telemetry.counter(METRICS.httpRequests);
    this.requestDurations = telemetry.histogram(METRICS.httpDurations);
    this.eventDurations = telemetry.histogram(METRICS.eventDurations);
    this.eventErrors = telemetry.counter(METRICS.eventErrors);
  }

  /**
   * Records an answered request.
   * @param route the declared path, or `no route`.
   * @param milliseconds undefined if its duration says nothing: that of a stream depends on the client.
   */
  recordRequest(method: string, route: string, status: number, milliseconds: number | undefined): void {
    this.requests.add({ method, route, status: String(status) });
    if (milliseconds === undefined) return;
    this.requestDurations.record({ method, route }, milliseconds / 1000);
    this.recordLongest(nameOfRequest(method, route), milliseconds / 1000);
  }

  /**
   * Records an acknowledged socket event.
   * @param event a declared event, or `no event`.
   * @param code of the error, if it was acknowledged with one.
   */
  recordEvent(event: string, milliseconds: number, code?: string): void {
    this.eventDurations.record({ event }, milliseconds / 1000);
    this.recordLongest(nameOfEvent(event), milliseconds / 1000);
    if (code !== undefined) this.eventErrors.add({ event, code });
  }

  /** Lists the operations with the highest 95th percentile, in descending order. */
  async slowest(limit: number): Promise<Timing[]> {
    const [requests, events] = await Promise.all([
      this.requestDurations.series(),
      this.eventDurations.series(),
    ]);
    return [
      ...requests.map((each) => this.timing(nameOfRequest(each.labels.method, each.labels.route), each)),
      ...events.map((each) => this.timing(nameOfEvent(each.labels.event), each)),
    ]
      .sort((one, other) => other.p95 - one.p95)
      .slice(0, limit);
  }

  private recordLongest(name: string, seconds: number): void {
    if (seconds > (this.longest.get(name) ?? -1)) this.longest.set(name, seconds);
  }

  private timing(name: string, series: HistogramSeries): Timing {
    const max = this.longest.get(name) ?? 0;
    const quantile = (share: number) => inMilliseconds(quantileOf(series, share, max));
    return { name, count: series.count, p50: quantile(0.5), p95: quantile(0.95), max: inMilliseconds(max) };
  }
}

const nameOfRequest = (method: string, route: string) => (route === NO_ROUTE ? route : `${method} ${route}`);
const nameOfEvent = (event: string) => (event === NO_EVENT ? event : `socket ${event}`);

/** The route of a request that no route has answered, and the name of an event that is not declared. */
export const NO_ROUTE = 'no route';
export const NO_EVENT = 'no event';

/**
 * Estimates a quantile of a histogram: the value that the given share of all values does not exceed. Within a bucket,
 * values are taken to be evenly distributed, as Prometheus does.
 * @param max the largest value.
 */
export function quantileOf({ count, buckets }: HistogramSeries, share: number, max: number): number {
  const rank = count * share;
  let [lower, below] = [0, 0];
  for (const { upTo, count: atMost } of buckets) {
    if (atMost >= rank && atMost > below) {
      const upper = Math.min(upTo, max);
      return lower >= upper ? upper : lower + (upper - lower) * ((rank - below) / (atMost - below));
    }
    [lower, below] = [upTo, atMost];
  }
  return max;
}

const inMilliseconds = (seconds: number) => Math.round(seconds * 100_000) / 100;
