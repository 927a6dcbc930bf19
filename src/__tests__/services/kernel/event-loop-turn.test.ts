import { setImmediate as nextTurn } from 'node:timers/promises';
import { inputRead, turnPrepared } from '../../../services/kernel/event-loop-turn';

/** The turns are told apart by the number of immediates that have run, each of which requests the next one. */
async function turnOf(work: Promise<unknown>): Promise<number> {
  let turn = 0;
  let done = false;
  void work.then(() => (done = true));
  while (!done) {
    await nextTurn();
    turn++;
  }
  return turn;
}

test('what arrives in a turn is prepared together, and then used in the same turn', async () => {
  await nextTurn();
  const order: string[] = [];
  const prepare = async (name: string, steps: number) => {
    await inputRead();
    order.push(`${name} begins`);
    for (let step = 0; step < steps; step++) await Promise.resolve();
    order.push(`${name} is prepared`);
    await turnPrepared();
    order.push(`${name} is used`);
  };
  const all = Promise.all([prepare('one', 1), prepare('two', 50)]);
  const turn = await turnOf(all);
  expect(order).toEqual([
    'one begins',
    'two begins',
    'one is prepared',
    'two is prepared',
    'one is used',
    'two is used',
  ]);
  expect(turn).toBe(1);
});

test('what is prepared later waits for a turn of its own, and takes no end of another turn', async () => {
  await nextTurn();
  await inputRead();
  // In the first step of this turn, the next one is requested.
  const next = inputRead().then(() => order.push('next begins'));
  const order: string[] = [];
  await turnPrepared();
  order.push('this ends');
  await next;
  await turnPrepared();
  order.push('next ends');
  const later = turnPrepared().then(() => order.push('later'));
  await Promise.resolve();
  order.push('at once');
  await later;
  expect(order).toEqual(['this ends', 'next begins', 'next ends', 'at once', 'later']);
});
