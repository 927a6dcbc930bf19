import fc from 'fast-check';
import { METRICS } from '../../../services/kernel/metrics';
import { Telemetry } from '../../../services/kernel/telemetry';
import { quantileOf, Timings } from '../../../services/operations/timings';

let telemetry: Telemetry;

beforeEach(() => {
  telemetry = new Telemetry();
});

const counter = <Label extends string>(...labels: Label[]) =>
  ({ kind: 'counter', name: 'parley_things_total', help: 'Things.', labels }) as const;
const gauge = { kind: 'gauge', name: 'parley_size', help: 'The size.', labels: ['kind'] } as const;
const histogram = { ...gauge, kind: 'histogram', name: 'parley_time_seconds', buckets: [1, 2, 4] } as const;

it('counts by labels, in any order of these', async () => {
  const things = telemetry.counter(counter('kind', 'place'));
  things.add({ kind: 'a', place: 'b' });
  things.add({ place: 'b', kind: 'a' }, 2);
  things.add({ kind: 'b', place: 'a' });
  expect(await telemetry.seriesOf('parley_things_total')).toEqual([
    { labels: { kind: 'a', place: 'b' }, value: 3 },
    { labels: { kind: 'b', place: 'a' }, value: 1 },
  ]);
  expect(await telemetry.text()).toContain('parley_things_total{kind="a",place="b"} 3\n');
});

it('reads a counter that its owner counts, however often it is queried', async () => {
  let count = 2;
  telemetry.counter(counter()).observe({}, () => count);
  for (const now of [2, 5, 5, 3]) {
    count = now;
    await telemetry.text();
  }
  expect(await telemetry.seriesOf('parley_things_total')).toEqual([{ labels: {}, value: 5 }]);
});

it('reads a gauge when it is queried, and leaves out what cannot be read', async () => {
  let read = () => Promise.resolve(1);
  const sizes = telemetry.gauge(gauge);
  sizes.observe({ kind: 'a' }, () => read());
  sizes.observe({ kind: 'b' }, () => 4);
  read = () => Promise.resolve(7);
  const [a, b] = ['a', 'b'].map((kind) => ({ kind }));
  expect(await telemetry.seriesOf('parley_size')).toEqual(
    expect.arrayContaining([
      { labels: a, value: 7 },
      { labels: b, value: 4 },
    ]),
  );
  read = () => Promise.reject(new Error('broken'));
  expect(await telemetry.seriesOf('parley_size')).toEqual([{ labels: b, value: 4 }]);
});

it('counts values up to each bound of a histogram', async () => {
  const times = telemetry.histogram(histogram);
  for (const value of [0.5, 1, 3, 100]) times.record({ kind: 'a' }, value);
  expect(await times.series()).toEqual([
    {
      labels: { kind: 'a' },
      count: 4,
      sum: 104.5,
      buckets: [
        { upTo: 1, count: 2 },
        { upTo: 2, count: 2 },
        { upTo: 4, count: 3 },
      ],
    },
  ]);
});

it('has a limit: further label values count as "other"', async () => {
  const things = telemetry.counter(counter('kind'));
  for (let each = 0; each < 20_000; each++) things.add({ kind: String(each) });
  const series = await telemetry.seriesOf('parley_things_total');
  expect(series.length).toBeLessThanOrEqual(5001);
  const valueOf = (kind: string) => series.find(({ labels }) => labels['kind'] === kind)?.value;
  expect([valueOf('999'), valueOf('other')]).toEqual([1, 20_000 - 5000]);
});

it('returns the same metric for the same definition, and refuses a different one with that name', async () => {
  telemetry.counter(METRICS.errors).add({ code: 'a' });
  telemetry.counter(METRICS.errors).add({ code: 'a' });
  expect(await telemetry.seriesOf(METRICS.errors.name)).toEqual([{ labels: { code: 'a' }, value: 2 }]);
  expect(() => telemetry.counter({ ...METRICS.errors })).toThrow('another metric');
});

it('estimates quantiles within the bucket of the exact one, and never above the largest value', () => {
  const values = fc.array(fc.double({ min: 0.0001, max: 30, noNaN: true }), { minLength: 1 });
  const bounds = METRICS.httpDurations.buckets;
  fc.assert(
    fc.property(values, fc.constantFrom(0.01, 0.5, 0.95, 1), (all, share) => {
      const sorted = [...all].sort((one, other) => one - other);
      const max = sorted.at(-1)!;
      const exact = sorted[Math.ceil(all.length * share) - 1]!;
      const buckets = bounds.map((upTo) => ({ upTo, count: all.filter((each) => each <= upTo).length }));
      const estimate = quantileOf({ labels: {}, count: all.length, sum: 0, buckets }, share, max);
      const upper = bounds.find((bound) => exact <= bound) ?? Infinity;
      const lower = bounds.filter((bound) => bound < exact).at(-1) ?? 0;
      expect(estimate).toBeGreaterThanOrEqual(Math.min(lower, max));
      expect(estimate).toBeLessThanOrEqual(Math.min(upper, max));
    }),
  );
});

it('lists the slowest routes and socket events', async () => {
  const timings = new Timings(telemetry);
  for (const milliseconds of [1, 2, 600]) timings.recordRequest('GET', '/slow', 200, milliseconds);
  timings.recordRequest('GET', '/stream', 200, undefined);
  timings.recordEvent('message:send', 3, 'forbidden');
  const [slow, event, ...others] = await timings.slowest(10);
  expect(slow).toMatchObject({ name: 'GET /slow', count: 3, max: 600 });
  expect(slow!.p95).toBeGreaterThan(500);
  expect(slow!.p50).toBeLessThanOrEqual(2.5);
  expect(event).toMatchObject({ name: 'socket message:send', count: 1, max: 3 });
  expect(others).toEqual([]);
});
