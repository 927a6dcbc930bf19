import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ATTACKS } from './attack/attacks';
import type { Strikes } from './attack/attacker';
import { Bystanders, type Latencies } from './attack/measures';
import { Target } from './attack/target';
import { inTemporaryFolder } from './chat/temporary-folder';
import { describeMachine } from '../tools/bench/machine';

/**
 * `npm run bench:attack [-- --attacks log-ins,pictures]`: measures the effect of attacks on other users: how long their
 * actions take before and during an attack. It attacks the built server on its embedded store, from a process of its
 * own. `--dist` attacks another build, for comparison.
 */

const { values } = parseArgs({
  options: {
    attacks: { type: 'string', default: Object.keys(ATTACKS).join(',') },
    seconds: { type: 'string', default: '10' },
    dist: { type: 'string', default: join(__dirname, '..', 'dist') },
  },
});

/** How long an attack runs before the actions of other users are measured. */
const RUN_UP_MS_MS = 1000;

interface Outcome {
  quiet: Latencies[];
  attacked: Latencies[];
  strikes: Strikes;
  survived: boolean;
}

function attack(name: string, seconds: number): Promise<Outcome> {
  return inTemporaryFolder(async (folder) => {
    const target = await Target.start(resolve(values.dist), folder);
    const attacker = fork(join(__dirname, 'attack', 'attacker.ts'), [name, target.url], {
      execArgv: ['--require', 'ts-node/register/transpile-only'],
    });
    try {
      await once(attacker, 'message');
      const bystanders = await Bystanders.create(target.url);
      // The first measurement only warms up the JavaScript compiler.
      await bystanders.measure(2);
      const quiet = await bystanders.measure(seconds);
      attacker.send('go');
      await new Promise((done) => setTimeout(done, RUN_UP_MS_MS));
      const attacked = await bystanders.measure(seconds);
      bystanders.close();
      attacker.send('stop');
      const [strikes] = (await once(attacker, 'message')) as [Strikes];
      return { quiet, attacked, strikes, survived: target.isAlive };
    } finally {
      attacker.kill('SIGKILL');
      await target.stop();
    }
  });
}

function print(name: string, { quiet, attacked, strikes, survived }: Outcome): void {
  console.log(`\n${name}: ${ATTACKS[name]?.what}`);
  console.log(
    `${strikes.begun} strikes begun, ${strikes.ended} ended, ${strikes.failed} of them refused or broken off; ` +
      `the server ${survived ? 'goes on' : 'HAS ENDED'}.\n`,
  );
  const title = 'p50 / p95 / p99 / max, ms';
  console.log(`| what | quiet, ${title} | attacked, ${title} | ratio of p95 | failed |`);
  console.log('| --- | --- | --- | --- | --- |');
  attacked.forEach((during, index) => {
    const before = quiet[index]!;
    const ratio = quantile(during, 0.95) / quantile(before, 0.95);
    const cells = [
      during.what,
      figures(before),
      figures(during),
      ratio.toFixed(1),
      `${during.failed} of ${during.took.length}`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  });
}

const figures = (latencies: Latencies): string =>
  [0.5, 0.95, 0.99, 1].map((share) => quantile(latencies, share).toFixed(0)).join(' / ');

function quantile({ took }: Latencies, share: number): number {
  return took[Math.max(0, Math.ceil(share * took.length) - 1)] ?? NaN;
}

async function main(): Promise<void> {
  console.log(describeMachine());
  for (const name of values.attacks.split(',')) {
    if (!ATTACKS[name]) throw new Error(`There is no attack "${name}": ${Object.keys(ATTACKS).join(', ')}.`);
    print(name, await attack(name, Number(values.seconds)));
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
