/** Each bucket of a histogram ends this much above the one before: what is read from it is at most 5% too high. */
const GROWTH = 1.05;
/** Where the first bucket ends, in milliseconds. */
const FIRST = 0.05;
/** The last bucket ends above a quarter of an hour. */
const BUCKETS = 350;

interface Histogram {
  count: number;
  max: number;
  buckets: Uint32Array;
}

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
  private readonly histograms = new Map<string, Histogram>();

  /** @param name one of the routes and events that there are, so that there is no end of names. */
  note(name: string, milliseconds: number): void {
    const histogram = this.histograms.get(name) ?? newHistogram();
    this.histograms.set(name, histogram);
    histogram.count++;
    histogram.max = Math.max(histogram.max, milliseconds);
    const bucket = Math.ceil(Math.log(Math.max(milliseconds, FIRST) / FIRST) / Math.log(GROWTH));
    histogram.buckets[Math.min(bucket, BUCKETS - 1)]!++;
  }

  /** Those whose slowest twentieth is slowest, that first. */
  slowest(limit: number): Timing[] {
    return [...this.histograms]
      .map(([name, histogram]) => ({
        name,
        count: histogram.count,
        p50: quantile(histogram, 0.5),
        p95: quantile(histogram, 0.95),
        max: rounded(histogram.max),
      }))
      .sort((one, other) => other.p95 - one.p95)
      .slice(0, limit);
  }
}

function newHistogram(): Histogram {
  return { count: 0, max: 0, buckets: new Uint32Array(BUCKETS) };
}

function quantile({ count, max, buckets }: Histogram, share: number): number {
  let left = Math.ceil(count * share);
  const bucket = buckets.findIndex((each) => (left -= each) <= 0);
  return rounded(Math.min(FIRST * GROWTH ** bucket, max));
}

const rounded = (milliseconds: number) => Math.round(milliseconds * 100) / 100;
