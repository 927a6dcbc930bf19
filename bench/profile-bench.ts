import { parseArgs } from 'node:util';
import { describeMachine } from '../tools/bench/machine';
import { inScenario, parseScenario } from './chat/many-channels';
import type { Measured } from './chat/measure';
import { MAIN_AREAS, sharesOf, STORE_AREAS } from './chat/profile-areas';
import type { Profiles } from './chat/target';

/**
 * `npm run bench:profile`: where the processor time of a message goes, in Parley's main thread and store thread, and in the
 * bare Socket.IO server. It prints Markdown tables. The profiler itself makes everything slower by some percent.
 */

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: '50x5' },
    window: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '10' },
    /** How many functions of each thread are listed. */
    functions: { type: 'string', default: '0' },
  },
});
const load = { window: Number(values.window), seconds: Number(values.seconds) };

function printThread(
  title: string,
  profile: Profiles['main'],
  areas: typeof MAIN_AREAS,
  perMessage: number,
): void {
  const shares = sharesOf(profile, areas);
  console.log(`\n| ${title} | µs per message | share |\n| --- | ---: | ---: |`);
  const row = (name: string, share: number) =>
    console.log(`| ${name} | ${(share * perMessage).toFixed(1)} | ${(share * 100).toFixed(1)} % |`);
  for (const [area, share] of shares.areas) row(area, share);
  row('all', 1);
  for (const [name, share] of shares.functions.slice(0, Number(values.functions))) row(`\`${name}\``, share);
}

/** @returns microseconds of processor time. */
function perMessage({ messages }: Measured, milliseconds: number | undefined): number {
  return ((milliseconds ?? NaN) * 1000) / messages;
}

async function bench(): Promise<void> {
  const scenario = parseScenario(values.scenario);
  const { bare, parley } = await inScenario(scenario, { seconds: 5, rounds: 1 }, async (crowds) => ({
    bare: await crowds.bare.profile(load),
    parley: await crowds.parley.profile(load),
  }));
  console.log(describeMachine());
  console.log(
    `${values.scenario}, ${values.window} in flight: ${rateOf(parley)} Parley, ${rateOf(bare)} bare Socket.IO`,
  );
  printThread('Parley, main thread', parley.profiles.main, MAIN_AREAS, perMessage(parley, parley.cpu.main));
  if (parley.profiles.store) {
    printThread(
      'Parley, store thread',
      parley.profiles.store,
      STORE_AREAS,
      perMessage(parley, parley.cpu.store),
    );
  }
  printThread('bare Socket.IO, main thread', bare.profiles.main, MAIN_AREAS, perMessage(bare, bare.cpu.main));
}

const rateOf = ({ messagesPerSecond }: Measured) => `${Math.round(messagesPerSecond)} messages/s`;

bench().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
