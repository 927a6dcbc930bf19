import { runChaos } from '../../../bench/chaos/run';
import { HAS_REDIS } from '../fixtures/redis';

/**
 * Three server processes with Redis on one database. `npm run chaos` does the same for longer. `CLUSTER_SEED` selects
 * another sequence; the timing of the processes differs in any case.
 */
const SEED = Number(process.env['CLUSTER_SEED'] ?? 20_270);

if (!HAS_REDIS) console.warn('A cluster of processes is not tested: there is no redis-server.');

(HAS_REDIS ? test : test.skip)(
  'three nodes keep all promises while nodes are killed and suspended, Redis is stopped, and rights are taken away',
  async () => {
    const events: string[] = [];
    const log = (line: string) => void events.push(line);
    const { problems, counts } = await runChaos({ nodes: 3, seed: SEED, seconds: 0, log });
    if (problems.length > 0) console.log(`seed ${SEED}\n${events.join('\n')}`);
    expect(problems).toEqual([]);
    for (const what of ['acknowledgements', 'repeated sends', 'edits', 'removals', 'broken connections']) {
      expect([what, (counts.get(what) ?? 0) > 0]).toEqual([what, true]);
    }
  },
  300_000,
);
