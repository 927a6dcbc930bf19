import {
  Counter as PromCounter,
  Gauge as PromGauge,
  Histogram as PromHistogram,
  Registry,
} from 'prom-client';
import type { CounterDefinition, GaugeDefinition, HistogramDefinition, MetricDefinition } from './metrics';

/** The values of the labels of a metric. They come from small sets: routes, reasons, jobs; never ids or texts. */
export type Labels<Label extends string> = Readonly<Record<Label, string>>;

/** Counts events since the start of the process. */
export interface Counter<Label extends string = never> {
  add(labels: Labels<Label>, amount?: number): void;
  /**
   * Takes the value from a number that its owner counts itself, which is cheaper than `add`.
   * @param read returns the number, which must not fall.
   */
  observe(labels: Labels<Label>, read: () => number): void;
}

/** Holds the distribution of values since the start of the process. */
export interface Histogram<Label extends string = never> {
  /** @param value in the unit of the metric, not negative. */
  record(labels: Labels<Label>, value: number): void;
  series(): Promise<HistogramSeries<Label>[]>;
}

/** The values of a histogram with the same labels. */
export interface HistogramSeries<Label extends string = string> {
  labels: Labels<Label>;
  count: number;
  sum: number;
  /** How many values do not exceed each upper bound, in ascending order. Larger values are in `count` alone. */
  buckets: { upTo: number; count: number }[];
}

/** Reports numbers that rise and fall. They are read when the metrics are read. */
export interface Gauge<Label extends string = never> {
  /** @param read returns the current number. When it fails, the series is left out. */
  observe(labels: Labels<Label>, read: () => number | Promise<number>): void;
}

/** The values of a counter or a gauge at one moment. */
export interface MetricSeries {
  labels: Readonly<Record<string, string>>;
  value: number;
}

/** The most combinations of labels of a metric; further ones are counted as `other`. */
const MAX_SERIES = 5000;
const OTHER = 'other';

/** Keeps the metrics of this process, which `metrics.ts` defines, in a registry of prom-client. */
export class Telemetry {
  private readonly registry = new Registry();
  private readonly metrics = new Map<string, { definition: MetricDefinition; metric: unknown }>();

  /** The same definition always returns the same metric. @throws Error if another one has the same name */
  counter<Label extends string>(definition: CounterDefinition<Label>): Counter<Label> {
    return this.metric(definition, () => counterIn(this.registry, definition));
  }

  /** As `counter`. */
  histogram<Label extends string>(definition: HistogramDefinition<Label>): Histogram<Label> {
    return this.metric(definition, () => histogramIn(this.registry, definition));
  }

  /** As `counter`. */
  gauge<Label extends string>(definition: GaugeDefinition<Label>): Gauge<Label> {
    return this.metric(definition, () => gaugeIn(this.registry, definition));
  }

  /** Returns the series of a counter or a gauge by its name; for a histogram, those of its sums, counts and buckets. */
  async seriesOf(name: string): Promise<MetricSeries[]> {
    const metric = this.registry.getSingleMetric(name);
    const { values = [] } = (await metric?.get()) ?? {};
    return values.map(({ labels, value }) => ({ labels: labels as Record<string, string>, value }));
  }

  /** Returns all metrics in the text format of Prometheus. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  private metric<Metric>(definition: MetricDefinition, create: () => Metric): Metric {
    const known = this.metrics.get(definition.name);
    if (known && known.definition !== definition) {
      throw new Error(`There is another metric with the name ${definition.name}.`);
    }
    if (known) return known.metric as Metric;
    const metric = create();
    this.metrics.set(definition.name, { definition, metric });
    return metric;
  }
}

function counterIn<Label extends string>(
  registry: Registry,
  { name, help, labels }: CounterDefinition<Label>,
): Counter<Label> {
  const bounded = boundedLabels(labels);
  const observed = new Map<string, { labels: Labels<Label>; read: () => number; counted: number }>();
  const counter = new PromCounter<string>({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      for (const each of observed.values()) {
        const now = each.read();
        // The library has no way to set a counter. A number that has fallen by mistake must not make the scrape fail.
        this.inc(each.labels, Math.max(0, now - each.counted));
        each.counted = Math.max(now, each.counted);
      }
    },
  });
  return {
    add: (given, amount = 1) => counter.inc(bounded(given), amount),
    observe: (given, read) => {
      const own = bounded(given);
      observed.set(keyOf(labels, own), { labels: own, read, counted: 0 });
    },
  };
}

function gaugeIn<Label extends string>(
  registry: Registry,
  { name, help, labels }: GaugeDefinition<Label>,
): Gauge<Label> {
  const bounded = boundedLabels(labels);
  const observed = new Map<string, { labels: Labels<Label>; read: () => number | Promise<number> }>();
  new PromGauge<string>({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    async collect() {
      await Promise.all(
        [...observed.values()].map(async (each) => {
          try {
            this.set(each.labels, await each.read());
          } catch {
            // Such as the size of a database that does not answer: the other metrics are wanted all the more.
            this.remove(each.labels);
          }
        }),
      );
    },
  });
  return {
    observe: (given, read) => {
      const own = bounded(given);
      observed.set(keyOf(labels, own), { labels: own, read });
    },
  };
}

function histogramIn<Label extends string>(
  registry: Registry,
  definition: HistogramDefinition<Label>,
): Histogram<Label> {
  const { name, help, labels } = definition;
  const bounded = boundedLabels(labels);
  const buckets = [...definition.buckets];
  const histogram = new PromHistogram<string>({
    name,
    help,
    labelNames: labels,
    buckets,
    registers: [registry],
  });
  return {
    record: (given, value) => histogram.observe(bounded(given), value),
    series: async () => {
      const all = new Map<string, HistogramSeries<Label>>();
      for (const { labels: has, value, metricName } of (await histogram.get()).values) {
        const { le, ...rest } = has;
        const own = rest as Labels<Label>;
        const key = keyOf(labels, own);
        const series = all.get(key) ?? { labels: own, count: 0, sum: 0, buckets: [] };
        all.set(key, series);
        if (metricName === `${name}_sum`) series.sum = value;
        else if (metricName === `${name}_count`) series.count = value;
        else if (typeof le === 'number') series.buckets.push({ upTo: le, count: value });
      }
      return [...all.values()];
    },
  };
}

/** Returns a function that replaces the values of labels by `other` when there are too many combinations of them. */
function boundedLabels<Label extends string>(names: readonly Label[]) {
  const known = new Set<string>();
  const others = Object.fromEntries(names.map((name) => [name, OTHER])) as Labels<Label>;
  return (labels: Labels<Label>): Labels<Label> => {
    const key = keyOf(names, labels);
    if (known.has(key)) return labels;
    if (known.size >= MAX_SERIES) return others;
    known.add(key);
    return labels;
  };
}

function keyOf<Label extends string>(names: readonly Label[], labels: Labels<Label>): string {
  const [first, ...more] = names;
  if (first === undefined) return '';
  // Most metrics have one label; this is called for every request.
  return more.length === 0 ? labels[first] : names.map((name) => labels[name]).join('\n');
}
