/**
 * Lets users chat through several nodes while nodes are killed and frozen, Redis is stopped, and rights are taken away, and
 * checks that nothing is lost, doubled, reordered, shown to the wrong users or counted wrong.
 *
 *   npm run chaos -- --seconds 60 --nodes 3 --seed 1
 *
 * Requires redis-server. Exits with 1 if anything is wrong.
 */
import { parseArgs } from 'node:util';
import { HAS_REDIS } from '../src/__tests__/fixtures/redis';
import { runChaos } from './chaos/run';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    nodes: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

async function main(): Promise<void> {
  if (!HAS_REDIS)
    throw new Error('There is no redis-server: install it, for example with apt-get install redis-server.');
  const [seconds, nodes, seed] = [Number(values.seconds), Number(values.nodes), Number(values.seed)];
  const startedAt = performance.now();
  const log = (line: string) =>
    console.log(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  log(`seed ${seed}`);
  const { problems, counts, latencies, disorder, offlineAfter } = await runChaos({
    nodes,
    seed,
    seconds,
    log,
  });
  console.table(Object.fromEntries([...counts].map(([what, times]) => [what, { times }])));
  const percentile = (share: number) =>
    (latencies[Math.floor((latencies.length - 1) * share)] ?? 0).toFixed(1);
  console.log(
    `${latencies.length} deliveries: p50 ${percentile(0.5)} ms, p95 ${percentile(0.95)} ms, ` +
      `p99 ${percentile(0.99)} ms, max ${percentile(1)} ms`,
  );
  console.log(
    `${disorder.late} of ${disorder.all} messages arrived after a later one while all nodes sent to one channel`,
  );
  console.log(
    `users of killed nodes were shown for ${offlineAfter.map((each) => each.toFixed(1)).join(', ')} s`,
  );
  for (const problem of problems) console.error(`WRONG: ${problem}`);
  console.log(problems.length === 0 ? 'Nothing is wrong.' : `${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
