import * as fc from 'fast-check';
import { RevisionOrder } from '../../sockets/revision-order';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

/** Changes of two channels, of which the first ones are known, in any order, some of them repeated or missing. */
const arrivals = fc
  .uniqueArray(fc.record({ channel: fc.constantFrom('a', 'b'), revision: fc.integer({ min: 2, max: 12 }) }), {
    selector: ({ channel, revision }) => `${channel}${revision}`,
  })
  .chain((changes) => fc.shuffledSubarray([...changes, ...changes], { minLength: changes.length }));

test('changes are sent once each, in the order of revisions as far as none is missing', () => {
  fc.assert(
    fc.property(arrivals, (changes) => {
      const order = new RevisionOrder(() => true);
      const sent: Record<string, number[]> = { a: [], b: [] };
      const pass = (channel: string, revision: number) =>
        order.pass(channel, revision, () => sent[channel]!.push(revision));
      pass('a', 1);
      pass('b', 1);
      for (const { channel, revision } of changes) pass(channel, revision);
      for (const channel of ['a', 'b']) {
        const arrived = [
          1,
          ...changes.filter((each) => each.channel === channel).map(({ revision }) => revision),
        ];
        const complete: number[] = [];
        for (let next = 1; arrived.includes(next); next++) complete.push(next);
        // Before any time-out, exactly those without a gap have been sent; a repeated one follows its first one.
        expect([...new Set(sent[channel])]).toEqual(complete);
      }
      jest.advanceTimersByTime(300);
      for (const channel of ['a', 'b']) {
        const arrived = [
          1,
          ...changes.filter((each) => each.channel === channel).map(({ revision }) => revision),
        ];
        expect([...new Set(sent[channel])]).toEqual([...new Set(arrived)].sort((one, other) => one - other));
        expect(sent[channel]!.toSorted((one, other) => one - other)).toEqual(
          arrived.toSorted((one, other) => one - other),
        );
      }
      order.close();
    }),
  );
});

test('what waits is sent when it is closed, when too much waits, and nothing waits without other nodes', () => {
  const sent: number[] = [];
  let hasOthers = true;
  const order = new RevisionOrder(() => hasOthers);
  const pass = (revision: number) => order.pass('a', revision, () => sent.push(revision));
  pass(1);
  pass(4);
  pass(3);
  expect(sent).toEqual([1]);
  order.close();
  expect(sent).toEqual([1, 3, 4]);

  sent.length = 0;
  pass(1);
  for (let revision = 1002; revision > 3; revision--) pass(revision);
  expect(sent).toEqual([1]);
  pass(3);
  expect(sent).toEqual([1, ...Array.from({ length: 1000 }, (_, index) => index + 3)]);

  sent.length = 0;
  hasOthers = false;
  for (const revision of [2000, 5000, 4000]) pass(revision);
  expect(sent).toEqual([2000, 5000, 4000]);
});

test('a change that was sent outside of the order releases the ones after it', () => {
  const sent: number[] = [];
  const order = new RevisionOrder(() => true);
  for (const revision of [1, 3]) order.pass('a', revision, () => sent.push(revision));
  order.skip('a', 2);
  expect(sent).toEqual([1, 3]);
});
