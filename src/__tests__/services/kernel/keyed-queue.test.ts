import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { setImmediate as nextTick } from 'node:timers/promises';
import { KeyedQueue, type Commit, type Committed } from '../../../services/kernel/keyed-queue';

/** An input of the queue. An `add` is a message, `exclusive` an edit or a deletion. */
interface Step {
  channel: number;
  kind: 'add' | 'exclusive';
  /** bad: the item (or the change) fails. poison: its batch cannot be written; unpublishable: publishing fails. */
  behaviour: 'good' | 'bad' | 'poison' | 'unpublishable';
}

interface Item extends Step {
  index: number;
}

/** One output of the queue: a batch, or an exclusive change. */
interface Work {
  channel: string;
  kind: 'batch' | 'exclusive';
  indexes: number[];
}

/** The callers of these tests are not in a transaction. */
const NO_TRANSACTION = { settled: () => undefined, outside: <Result>(work: () => Result) => work() };

/** A batch whose items all succeed, and of which nothing is published. */
const allWritten = (items: readonly string[]): Promise<Committed<string>> =>
  Promise.resolve({
    outcomes: items.map((value) => ({ status: 'fulfilled', value })),
    publish: () => Promise.resolve(),
  });

/** A queue, and the batches that `commit` writes. */
function newQueue<Item, Result>(commit: Commit<Item, Result>) {
  const queue = new KeyedQueue(NO_TRANSACTION);
  const exclusive = <Value>(key: ObjectId, change: () => Promise<Value>) => queue.exclusive(key, change);
  return { add: queue.batched(commit).add, exclusive };
}

const MAX_BATCH = 256;
const CHANNELS = Array.from({ length: 3 }, () => new ObjectId());
const channelOf = (step: Step) => CHANNELS[step.channel]!;

const step: fc.Arbitrary<Step> = fc.record({
  channel: fc.nat({ max: CHANNELS.length - 1 }),
  kind: fc.constantFrom('add', 'add', 'add', 'exclusive'),
  behaviour: fc.constantFrom('good', 'good', 'good', 'good', 'bad', 'poison', 'unpublishable'),
});

/** Runs steps through a queue whose writes end when the scheduler decides, and records everything. */
function observe(scheduler: fc.Scheduler) {
  const work: Work[] = [];
  const settlements = new Map<number, string[]>();
  const busy = new Set<string>();
  /** The batches of each channel that are written but not published yet. */
  const unpublished = new Map<string, number[][]>();
  const unpublishedIn = (channel: string) => unpublished.get(channel) ?? [];

  /**
   * Fails the test when two writers are in one channel at once, when a change starts before everything before it has
   * been published, or when more than one batch waits for publishing.
   */
  async function inside<Value>(entry: Work, write: () => Promise<Value>): Promise<Value> {
    expect(busy.has(entry.channel)).toBe(false);
    expect(unpublishedIn(entry.channel).length).toBeLessThanOrEqual(entry.kind === 'exclusive' ? 0 : 1);
    busy.add(entry.channel);
    work.push(entry);
    try {
      return await write();
    } finally {
      busy.delete(entry.channel);
    }
  }

  const queue = newQueue<Item, string>((channelId, items) => {
    const entry: Work = {
      channel: channelId.toHexString(),
      kind: 'batch',
      indexes: items.map((i) => i.index),
    };
    return inside(entry, async () => {
      await scheduler.schedule(Promise.resolve(), 'commit');
      if (items.some(({ behaviour }) => behaviour === 'poison')) throw new Error('batch');
      const { channel, indexes } = entry;
      unpublished.set(channel, [...unpublishedIn(channel), indexes]);
      return {
        outcomes: items.map(({ behaviour, index }) =>
          behaviour === 'bad'
            ? { status: 'rejected', reason: new Error(`item ${index}`) }
            : { status: 'fulfilled', value: `written ${index}` },
        ),
        publish: async () => {
          expect(unpublishedIn(channel)[0]).toBe(indexes);
          await scheduler.schedule(Promise.resolve(), 'publish');
          unpublishedIn(channel).shift();
          if (items.some(({ behaviour }) => behaviour === 'unpublishable')) throw new Error('publishing');
        },
      };
    });
  });

  function start(item: Item): Promise<void> {
    const channelId = channelOf(item);
    const result =
      item.kind === 'add'
        ? queue.add(channelId, item)
        : queue.exclusive(channelId, () =>
            inside(
              { channel: channelId.toHexString(), kind: 'exclusive', indexes: [item.index] },
              async () => {
                await scheduler.schedule(Promise.resolve(), 'exclusive');
                if (item.behaviour !== 'good') throw new Error(`change ${item.index}`);
                return `changed ${item.index}`;
              },
            ),
          );
    const note = (text: string) =>
      void settlements.set(item.index, [...(settlements.get(item.index) ?? []), text]);
    return result.then(
      (value) => note(value),
      (error: Error) => note(`failed: ${error.message}`),
    );
  }

  return { work, settlements, start };
}

/** The expected result of each step, given the batches. */
function expectedOutcome(item: Item, work: Work[], items: Item[]): string {
  if (item.kind === 'exclusive')
    return item.behaviour === 'good' ? `changed ${item.index}` : `failed: change ${item.index}`;
  const batch = work.find(({ kind, indexes }) => kind === 'batch' && indexes.includes(item.index))!;
  const behaviours = batch.indexes.map((index) => items[index]!.behaviour);
  if (behaviours.includes('poison')) return 'failed: batch';
  if (behaviours.includes('unpublishable')) return 'failed: publishing';
  return item.behaviour === 'good' ? `written ${item.index}` : `failed: item ${item.index}`;
}

describe('a keyed queue', () => {
  it('keeps the order, settles every item once, and never has two writers in one channel', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.scheduler(),
        fc.array(fc.nat(3), { maxLength: 20 }),
        async (steps, scheduler, gaps) => {
          const { work, settlements, start } = observe(scheduler);
          const items = steps.map((each, index) => ({ ...each, index }));
          const running: Promise<void>[] = [];
          for (const item of items) {
            running.push(start(item));
            // Some arrive together, others after writes have ended.
            for (let wait = gaps[item.index % Math.max(gaps.length, 1)] ?? 0; wait > 0; wait--) {
              if (scheduler.count() > 0) await scheduler.waitOne();
            }
          }
          await scheduler.waitFor(Promise.all(running));

          for (const [number, channel] of CHANNELS.entries()) {
            const done = work.filter((each) => each.channel === channel.toHexString());
            expect(done.flatMap(({ indexes }) => indexes)).toEqual(
              items.filter((item) => item.channel === number).map(({ index }) => index),
            );
          }
          for (const item of items) {
            expect(settlements.get(item.index)).toEqual([expectedOutcome(item, work, items)]);
          }
        },
      ),
      { seed: 20261, numRuns: 300 },
    );
  });

  it('collects waiting items in one batch, up to the largest batch and the next exclusive change', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 4 }),
        fc.scheduler(),
        async (runs, scheduler) => {
          const { work, start } = observe(scheduler);
          const running: Promise<void>[] = [];
          const push = (kind: Step['kind']) =>
            running.push(start({ channel: 0, kind, behaviour: 'good', index: running.length }));
          // While a change is in progress, everything after it is collected.
          push('exclusive');
          const expected: [Work['kind'], number][] = [['exclusive', 1]];
          for (const length of runs) {
            for (let count = 0; count < length; count++) push('add');
            for (let left = length; left > 0; left -= MAX_BATCH)
              expected.push(['batch', Math.min(left, MAX_BATCH)]);
            push('exclusive');
            expected.push(['exclusive', 1]);
          }
          await scheduler.waitFor(Promise.all(running));
          expect(work.map(({ kind, indexes }) => [kind, indexes.length])).toEqual(expected);
        },
      ),
      { seed: 20262, numRuns: 40 },
    );
  });
});

describe('items that arrive while a batch is published', () => {
  const [channel] = CHANNELS as [ObjectId];

  it('are written meanwhile if they are messages, and wait if they are changes', async () => {
    const seen: string[] = [];
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const queue = newQueue<string, string>(async (_channelId, items) => {
      seen.push(`written ${items.join()}`);
      const { outcomes } = await allWritten(items);
      return {
        outcomes,
        publish: async () => {
          if (items.includes('first')) await held;
          seen.push(`published ${items.join()}`);
        },
      };
    });
    const first = queue.add(channel, 'first');
    while (seen.length < 1) await nextTick();
    const second = queue.add(channel, 'second');
    const change = queue.exclusive(channel, () => Promise.resolve(seen.push('changed')));
    while (seen.length < 2) await nextTick();
    await nextTick();
    expect(seen).toEqual(['written first', 'written second']);
    release();
    await Promise.all([first, second, change]);
    expect(seen.slice(2)).toEqual(['published first', 'published second', 'changed']);
  });
});

test('changes wait for publishing even if the queue has been empty in the meantime', async () => {
  const [channel] = CHANNELS as [ObjectId];
  const seen: string[] = [];
  const gates = new Map<string, () => void>();
  const queue = newQueue<string, string>(async (_channelId, items) => {
    const { outcomes } = await allWritten(items);
    const name = items.join();
    const publish = async () => {
      await new Promise<void>((open) => gates.set(name, open));
      seen.push(`published ${name}`);
    };
    return { outcomes, publish };
  });
  const first = queue.add(channel, 'first');
  while (!gates.has('first')) await nextTick();
  const second = queue.add(channel, 'second');
  await nextTick();
  await nextTick();
  gates.get('first')!();
  await first;
  while (!gates.has('second')) await nextTick();
  const change = queue.exclusive(channel, () => Promise.resolve(seen.push('changed')));
  await nextTick();
  gates.get('second')!();
  await Promise.all([second, change]);
  expect(seen).toEqual(['published first', 'published second', 'changed']);
});

describe('two channels', () => {
  it('do not wait for each other', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const [slow, quick] = CHANNELS as [ObjectId, ObjectId];
    const queue = newQueue<string, string>(async (channelId, items) => {
      if (channelId.equals(slow)) await held;
      return allWritten(items);
    });
    const first = queue.add(slow, 'slow');
    await expect(queue.add(quick, 'quick')).resolves.toBe('quick');
    release();
    await expect(first).resolves.toBe('slow');
  });
});

describe('a channel after a failure', () => {
  const [channel] = CHANNELS as [ObjectId];

  it('continues after a change that throws before it returns a promise', async () => {
    const queue = newQueue<string, string>((_channelId, items) => allWritten(items));
    const broken = queue.exclusive(channel, () => {
      throw new Error('at once');
    });
    await expect(broken).rejects.toThrow('at once');
    await expect(queue.add(channel, 'next')).resolves.toBe('next');
  });

  it('fails only the item for which the write returns no result', async () => {
    const queue = newQueue<string, string>((_channelId, items) => allWritten(items.slice(0, 1)));
    const opening = queue.exclusive(channel, () => Promise.resolve());
    const answered = queue.add(channel, 'answered');
    const unanswered = queue.add(channel, 'forgotten');
    await opening;
    await expect(answered).resolves.toBe('answered');
    await expect(unanswered).rejects.toThrow('without an outcome');
  });
});
