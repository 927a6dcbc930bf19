/** The labels of a metric by name. Their values come from small sets: routes, reasons, jobs; never ids or texts. */
export type Labels = Readonly<Record<string, string>>;
type NoLabels = Readonly<Record<never, string>>;

/** What a metric is called and what it measures. */
export interface MetricDefinition<Label extends string> {
  /** In snake_case, with the unit at the end: `message_batch_duration_ms`, `errors_total`. */
  name: string;
  help: string;
  labels: readonly Label[];
}

/** Counts events since the start of the process. */
export interface Counter<Of extends Labels = NoLabels> {
  add(labels: Of, amount?: number): void;
  /** How many there were; 0 for labels that have not occurred. */
  value(labels: Of): number;
}

/** Holds the distribution of values since the start of the process. */
export interface Histogram<Of extends Labels = NoLabels> {
  /** @param value in the unit of the metric, not negative. */
  record(labels: Of, value: number): void;
  series(): HistogramSeries<Of>[];
}

export interface HistogramSeries<Of extends Labels = Labels> {
  labels: Of;
  count: number;
  sum: number;
  max: number;
  /**
   * Returns a quantile: the value that the given share of all values does not exceed. It is at most 5% too high.
   * @param share between 0 and 1: 0.95 for the 95th percentile.
   */
  quantile: (share: number) => number;
}

/** Reports numbers that rise and fall. They are read when the metric is read. */
export interface Gauge<Of extends Labels = NoLabels> {
  /** @param read returns the current number. */
  observe(labels: Of, read: () => number): void;
}

/**
 * Defines the metrics of the server. Defining a metric twice under one name returns the same metric.
 * @throws Error when a name is taken by a metric of another kind or with other labels.
 */
export interface Telemetry {
  counter<Of extends Labels = NoLabels>(definition: MetricDefinition<keyof Of & string>): Counter<Of>;
  histogram<Of extends Labels = NoLabels>(definition: MetricDefinition<keyof Of & string>): Histogram<Of>;
  gauge<Of extends Labels = NoLabels>(definition: MetricDefinition<keyof Of & string>): Gauge<Of>;
}

/** The values of a metric at one moment. */
export type MetricSnapshot = { name: string; help: string } & (
  | { kind: 'counter' | 'gauge'; series: { labels: Labels; value: number }[] }
  | { kind: 'histogram'; series: HistogramSeries[] }
);

/** The most combinations of labels of a metric; further ones are counted as `other`. */
const MAX_SERIES = 1000;
const OTHER = 'other';

type MemoryMetric = MemoryCounter | MemoryHistogram | MemoryGauge;

/** Keeps all metrics in the memory of this process. */
export class MemoryTelemetry implements Telemetry {
  private readonly metrics = new Map<
    string,
    { definition: MetricDefinition<string>; metric: MemoryMetric }
  >();

  counter<Of extends Labels>(definition: MetricDefinition<keyof Of & string>): Counter<Of> {
    return this.metric(definition, MemoryCounter);
  }

  histogram<Of extends Labels>(definition: MetricDefinition<keyof Of & string>): Histogram<Of> {
    // It returns the labels that it was given.
    return this.metric(definition, MemoryHistogram) as unknown as Histogram<Of>;
  }

  gauge<Of extends Labels>(definition: MetricDefinition<keyof Of & string>): Gauge<Of> {
    return this.metric(definition, MemoryGauge);
  }

  /** Returns all metrics, in the order in which they were defined. */
  collect(): MetricSnapshot[] {
    return [...this.metrics.values()].map(({ definition: { name, help }, metric }) => ({
      name,
      help,
      ...metric.collect(),
    }));
  }

  private metric<Metric extends MemoryMetric>(
    definition: MetricDefinition<string>,
    Kind: new (labels: readonly string[]) => Metric,
  ): Metric {
    const { name, labels } = definition;
    const known = this.metrics.get(name);
    if (!known) {
      const metric = new Kind(labels);
      this.metrics.set(name, { definition, metric });
      return metric;
    }
    if (!(known.metric instanceof Kind) || known.definition.labels.join() !== labels.join()) {
      throw new Error(`There is another metric with the name ${name}.`);
    }
    return known.metric;
  }
}

/** The series of one metric by the values of their labels. */
class SeriesMap<Series> {
  private readonly byKey = new Map<string, { labels: Labels; series: Series }>();

  constructor(
    private readonly labels: readonly string[],
    private readonly create: () => Series,
  ) {}

  find(labels: Labels): Series | undefined {
    return this.byKey.get(this.keyOf(labels))?.series;
  }

  /** Returns the series of these labels, or the series `other` when there are too many. */
  get(labels: Labels): Series {
    const known = this.byKey.get(this.keyOf(labels));
    if (known) return known.series;
    if (this.byKey.size < MAX_SERIES) return this.put(labels);
    const others = Object.fromEntries(this.labels.map((label) => [label, OTHER]));
    return this.find(others) ?? this.put(others);
  }

  all(): { labels: Labels; series: Series }[] {
    return [...this.byKey.values()];
  }

  private put(given: Labels): Series {
    const labels = Object.fromEntries(this.labels.map((label) => [label, given[label] ?? '']));
    const series = this.create();
    this.byKey.set(this.keyOf(labels), { labels, series });
    return series;
  }

  private keyOf(labels: Labels): string {
    const [first = '', ...others] = this.labels;
    const key = labels[first] ?? '';
    // Most metrics have one label; this is called for every request.
    return others.length === 0 ? key : [key, ...others.map((label) => labels[label])].join('\n');
  }
}

class MemoryCounter implements Counter<Labels> {
  private readonly counts: SeriesMap<{ value: number }>;

  constructor(labels: readonly string[]) {
    this.counts = new SeriesMap(labels, () => ({ value: 0 }));
  }

  add(labels: Labels, amount = 1): void {
    this.counts.get(labels).value += amount;
  }

  value(labels: Labels): number {
    return this.counts.find(labels)?.value ?? 0;
  }

  collect() {
    const series = this.counts.all().map((each) => ({ labels: each.labels, value: each.series.value }));
    return { kind: 'counter' as const, series };
  }
}

class MemoryGauge implements Gauge<Labels> {
  private readonly reads: SeriesMap<{ read: () => number }>;

  constructor(labels: readonly string[]) {
    this.reads = new SeriesMap(labels, () => ({ read: () => 0 }));
  }

  observe(labels: Labels, read: () => number): void {
    this.reads.get(labels).read = read;
  }

  collect() {
    const series = this.reads.all().map((each) => ({ labels: each.labels, value: each.series.read() }));
    return { kind: 'gauge' as const, series };
  }
}

/** The ratio of the upper bounds of two adjacent buckets, so that a quantile is at most 5% too high. */
const GROWTH = 1.05;
/** The upper bound of the first bucket, in the unit of the metric: 50 µs for durations. */
const FIRST = 0.05;
/** The number of buckets. The last upper bound exceeds a million: a quarter of an hour in milliseconds. */
const BUCKETS = 350;

interface Distribution {
  count: number;
  sum: number;
  max: number;
  buckets: Uint32Array;
}

class MemoryHistogram implements Histogram<Labels> {
  private readonly distributions: SeriesMap<Distribution>;

  constructor(labels: readonly string[]) {
    const empty = () => ({ count: 0, sum: 0, max: 0, buckets: new Uint32Array(BUCKETS) });
    this.distributions = new SeriesMap<Distribution>(labels, empty);
  }

  record(labels: Labels, value: number): void {
    const distribution = this.distributions.get(labels);
    distribution.count++;
    distribution.sum += value;
    distribution.max = Math.max(distribution.max, value);
    const bucket = Math.ceil(Math.log(Math.max(value, FIRST) / FIRST) / Math.log(GROWTH));
    distribution.buckets[Math.min(bucket, BUCKETS - 1)]!++;
  }

  series(): HistogramSeries[] {
    return this.distributions.all().map(({ labels, series }) => ({
      labels,
      count: series.count,
      sum: series.sum,
      max: series.max,
      quantile: (share) => quantile(series, share),
    }));
  }

  collect() {
    return { kind: 'histogram' as const, series: this.series() };
  }
}

function quantile({ count, max, buckets }: Distribution, share: number): number {
  let left = Math.ceil(count * share);
  const bucket = buckets.findIndex((each) => (left -= each) <= 0);
  return Math.min(FIRST * GROWTH ** bucket, max);
}
