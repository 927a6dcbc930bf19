import fc from 'fast-check';
import { MemoryTelemetry } from '../../../services/kernel/telemetry';

let telemetry: MemoryTelemetry;

beforeEach(() => {
  telemetry = new MemoryTelemetry();
});

const definition = <Label extends string>(...labels: Label[]) => ({
  name: 'things',
  help: 'Things.',
  labels,
});

it('counts by labels, in any order of these', () => {
  const counter = telemetry.counter<{ kind: string; place: string }>(definition('kind', 'place'));
  counter.add({ kind: 'a', place: 'b' });
  counter.add({ place: 'b', kind: 'a' }, 2);
  counter.add({ kind: 'b', place: 'a' });
  expect(counter.value({ kind: 'a', place: 'b' })).toBe(3);
  expect(counter.value({ kind: 'a', place: 'a' })).toBe(0);
  expect(telemetry.collect()).toEqual([
    {
      name: 'things',
      help: 'Things.',
      kind: 'counter',
      series: [
        { labels: { kind: 'a', place: 'b' }, value: 3 },
        { labels: { kind: 'b', place: 'a' }, value: 1 },
      ],
    },
  ]);
});

it('reads a gauge when it is queried', () => {
  let size = 1;
  telemetry.gauge<{ kind: string }>(definition('kind')).observe({ kind: 'a' }, () => size);
  size = 7;
  expect(telemetry.collect()).toMatchObject([
    { kind: 'gauge', series: [{ labels: { kind: 'a' }, value: 7 }] },
  ]);
});

it('returns the quantiles of a histogram, at most 5% too high and never above the largest value', () => {
  const values = fc.array(fc.double({ min: 0.05, max: 900_000, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(values, fc.constantFrom(0.01, 0.5, 0.95, 1), (all, share) => {
      const histogram = new MemoryTelemetry().histogram(definition());
      for (const value of all) histogram.record({}, value);
      const sorted = [...all].sort((one, other) => one - other);
      const exact = sorted[Math.ceil(all.length * share) - 1]!;
      const [series] = histogram.series();
      expect(series).toMatchObject({ count: all.length, max: sorted.at(-1) });
      expect(series!.quantile(share)).toBeGreaterThanOrEqual(exact * 0.999_999);
      expect(series!.quantile(share)).toBeLessThanOrEqual(Math.min(exact * 1.05 + 1e-9, series!.max));
    }),
  );
});

it('includes values that are outside of all buckets', () => {
  const histogram = telemetry.histogram(definition());
  for (const value of [0, 1e12]) histogram.record({}, value);
  const [series] = histogram.series();
  expect(series).toMatchObject({ count: 2, sum: 1e12, max: 1e12 });
  expect(series!.quantile(0.5)).toBeLessThanOrEqual(0.05);
});

it('has a limit: further label values count as "other"', () => {
  const counter = telemetry.counter<{ kind: string }>(definition('kind'));
  for (let each = 0; each < 5000; each++) counter.add({ kind: String(each) });
  const [metric] = telemetry.collect();
  expect(metric!.series.length).toBeLessThanOrEqual(1001);
  expect(counter.value({ kind: '999' })).toBe(1);
  expect(counter.value({ kind: 'other' })).toBe(4000);
});

it('returns the same metric for the same name, and refuses a different one with that name', () => {
  telemetry.counter<{ kind: string }>(definition('kind')).add({ kind: 'a' });
  expect(telemetry.counter<{ kind: string }>(definition('kind')).value({ kind: 'a' })).toBe(1);
  expect(() => telemetry.counter<{ place: string }>(definition('place'))).toThrow('another metric');
  expect(() => telemetry.histogram<{ kind: string }>(definition('kind'))).toThrow('another metric');
});
