import { CountedCache } from '../../utils/counted-cache';
import fc from 'fast-check';
import { RevocableCache } from '../../utils/revocable-cache';
import { until } from '../fixtures/until';

/** In an object, because the cache represents missing values by undefined. */
interface Version {
  version: number;
}

test('a read that begins after a delete never sees what was loaded before it', async () => {
  const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), writes: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(step, { maxLength: 30 }), async (scheduler, steps) => {
      // Two entries for three keys, so that some are evicted.
      const cache = new RevocableCache<Version>(2);
      /** The content of the database. */
      const stored: Record<string, number> = {};
      /** What was written when the last delete of a key completed: from then on, nothing older may be returned. */
      const least: Record<string, number> = {};
      let loads = 0;

      const load = async (key: string) => {
        loads++;
        await scheduler.schedule(Promise.resolve(), `the query for ${key} arrives`);
        const version = stored[key] ?? 0;
        await scheduler.schedule(Promise.resolve(), `the answer for ${key} arrives`);
        return { version };
      };
      const read = async (key: string) => {
        const expected = least[key] ?? 0;
        const found = await cache.get(key, () => load(key));
        expect(found!.version).toBeGreaterThanOrEqual(expected);
      };
      const write = async (key: string) => {
        const version = (stored[key] ?? 0) + 1;
        stored[key] = version;
        await scheduler.schedule(Promise.resolve(), `the write of ${key} is acknowledged`);
        cache.delete(key);
        least[key] = Math.max(version, least[key] ?? 0);
      };
      const running: Promise<void>[] = [];
      const script = scheduler.scheduleSequence(
        steps.map(({ key, writes }, index) => ({
          label: `${index}: ${writes ? 'write' : 'read'} ${key}`,
          builder: () => {
            running.push(writes ? write(key) : read(key));
            return Promise.resolve();
          },
        })),
      );
      await scheduler.waitFor(script.task);
      await scheduler.waitFor(Promise.all(running));
      expect(loads).toBeLessThanOrEqual(steps.length);
    }),
    { numRuns: 500, seed: 4 },
  );
});

test('concurrent reads of one key share one load, and a later one uses the cached value', async () => {
  const cache = new RevocableCache<Version>(10);
  let loads = 0;
  const load = () => Promise.resolve({ version: ++loads });
  const found = await Promise.all([1, 2, 3].map(() => cache.get('a', load)));
  expect(found).toEqual([{ version: 1 }, { version: 1 }, { version: 1 }]);
  expect(await cache.get('a', load)).toEqual({ version: 1 });
  cache.delete('a');
  expect(await cache.get('a', load)).toEqual({ version: 2 });
});

test('a value that has expired, or was cleared with all others, is read again', async () => {
  const cache = new RevocableCache<Version>(10, 200);
  let loads = 0;
  const load = () => Promise.resolve({ version: ++loads });
  const start = Date.now();
  expect(await cache.get('a', load)).toEqual({ version: 1 });
  const again = await cache.get('a', load);
  if (Date.now() - start < 200) expect(again).toEqual({ version: 1 });
  await until(async () => (await cache.get('a', load))?.version === 2);
  expect(Date.now() - start).toBeGreaterThanOrEqual(199);
  cache.clear();
  expect(await cache.get('a', load)).toEqual({ version: 3 });
});

test('neither failures nor missing values are cached', async () => {
  const cache = new RevocableCache<Version>(10);
  await expect(cache.get('a', () => Promise.reject(new Error('down')))).rejects.toThrow('down');
  expect(await cache.get('a', () => Promise.resolve(undefined))).toBeUndefined();
  expect(await cache.get('a', () => Promise.resolve({ version: 1 }))).toEqual({ version: 1 });
});

describe('the bounded cache below it', () => {
  it('keeps the entries that were used last, up to its bound, and says which have left', () => {
    const left: string[] = [];
    const cache = new CountedCache<string, { at: number }>({ max: 3, dispose: (_, key) => left.push(key) });
    for (const [at, key] of ['a', 'b', 'c'].entries()) cache.set(key, { at });
    expect(cache.get('a')).toEqual({ at: 0 });
    expect(cache.get('z')).toBeUndefined();
    cache.set('c', { at: 4 });
    cache.set('d', { at: 3 });
    expect([...cache.keys()].sort()).toEqual(['a', 'c', 'd']);
    expect(left).toEqual(['c', 'b']);
    expect({ max: cache.max, size: cache.size, hits: cache.hits, misses: cache.misses }).toEqual({
      max: 3,
      size: 3,
      hits: 1,
      misses: 1,
    });
    cache.clear();
    expect({ max: cache.max, size: cache.size }).toEqual({ max: 3, size: 0 });
    for (let at = 0; at < 10; at++) cache.set(String(at), { at });
    expect([...cache.keys()].sort()).toEqual(['7', '8', '9']);
  });
});
