import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureHistory, type HistoryCost } from './chat/history';
import type { Load, LoadChannel } from './chat/load-generator';
import { measureScenarios, parseScenario } from './chat/many-channels';
import { Crowd, measureIdle, warmUpOf, type Measured } from './chat/measure';
import { createRoom, type Person } from './chat/people';
import { drawPairs } from './chat/plot';
import { channelsTable, chatTable, historyTable, nameOf } from './chat/report';
import { Target } from './chat/target';
import { inTemporaryFolder } from './chat/temporary-folder';
import { describeMachine } from '../tools/bench/machine';

/**
 * `npm run bench`: compares built Parley on the embedded store with a bare Socket.IO broadcast that stores and checks
 * nothing, in one run on one machine, with the load generators in processes of their own. It prints tables, and writes
 * JSON files and an SVG. An empty list of members, scenarios or sizes skips that part. `--quick` runs every part for a
 * moment with small sizes and writes no files: it shows that the benchmark works, and its figures mean nothing.
 */

const { values: given } = parseArgs({
  options: {
    members: { type: 'string' },
    scenarios: { type: 'string' },
    history: { type: 'string' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
  },
});

const FULL = {
  members: '10,100,1000',
  scenarios: '50x5,200x5,1000x10,1000xdirect',
  history: '1000,100000,1000000',
  seconds: '6',
  rounds: '3',
  out: 'docs/bench',
};
const QUICK = {
  ...FULL,
  members: '3',
  scenarios: '4x3x2,4xdirect',
  history: '100',
  seconds: '0.5',
  rounds: '1',
  out: undefined,
};
const values = { ...(given.quick ? QUICK : FULL), ...given };

/** The concurrent sends for measuring the maximum throughput: enough to keep both servers busy. */
const SATURATION = { senders: 10, window: 16 };

/** The measurements of both servers in a channel with a number of members. */
export interface Comparison {
  members: number;
  /** The fixed rate in messages per second: half of the throughput of the slower server. */
  rate: number;
  bare: ServerFigures;
  parley: ServerFigures;
}

export interface ServerFigures {
  saturated: Measured;
  atRate: Measured;
  /** The bytes of memory per idle connection. */
  idleConnection: number;
}

async function compare(members: number, seconds: number): Promise<Comparison> {
  return inTemporaryFolder(async (folder) => {
    const bare = await Target.bare();
    const parley = await Target.parley(folder).catch(async (error: unknown) => {
      await bare.stop();
      throw error;
    });
    try {
      const { people, channelId } = await createRoom(parley.url, members);
      const everybody = people.map((_, index) => index);
      const channels = [
        { id: channelId, members: everybody, senders: everybody.slice(0, SATURATION.senders) },
      ];
      const idle = {
        bare: await measureIdle(bare, people, channels),
        parley: await measureIdle(parley, people, channels),
      };
      const load = (target: Target, rate?: number): Promise<Measured> =>
        measureOnce(target, people, channels, { window: SATURATION.window, seconds, ...(rate && { rate }) });
      for (const target of [bare, parley]) {
        await measureOnce(target, people, channels, { window: 4, seconds: warmUpOf(seconds) });
      }
      const saturated = { bare: await load(bare), parley: await load(parley) };
      const slower = Math.min(saturated.bare.messagesPerSecond, saturated.parley.messagesPerSecond);
      const rate = Math.max(1, Math.floor(slower / 2));
      const figures = async (name: 'bare' | 'parley', target: Target): Promise<ServerFigures> => ({
        saturated: saturated[name],
        atRate: await load(target, rate),
        idleConnection: idle[name],
      });
      return { members, rate, bare: await figures('bare', bare), parley: await figures('parley', parley) };
    } finally {
      await Promise.all([bare.stop(), parley.stop()]);
    }
  });
}

/** Connects people for one load. */
async function measureOnce(
  target: Target,
  people: Person[],
  channels: LoadChannel[],
  load: Load,
): Promise<Measured> {
  const crowd = await Crowd.connect(target, people, channels);
  try {
    return await crowd.run(load);
  } finally {
    await crowd.disconnect();
  }
}

async function main(): Promise<void> {
  const seconds = Number(values.seconds);
  const rounds = Number(values.rounds);
  const scenarios = list(values.scenarios).map(parseScenario);
  const machine = describeMachine();
  console.log(machine);
  const comparisons: Comparison[] = [];
  for (const members of numbers(values.members)) {
    console.log(`Channel of ${members} …`);
    comparisons.push(await compare(members, seconds));
  }
  const manyChannels = await measureScenarios(
    scenarios,
    { seconds, rounds },
    {
      begun: (scenario) => console.log(`Channels: ${nameOf(scenario)} …`),
      measured: (figures) => console.log(`\n${channelsTable([figures])}\n`),
    },
  );
  const history: HistoryCost[] = await measureHistory(numbers(values.history));

  const write = async (name: string, content: string): Promise<void> => {
    if (values.out === undefined) return;
    await mkdir(values.out, { recursive: true });
    const path = join(values.out, name);
    await writeFile(path, content);
    console.log(`Written: ${path}`);
  };
  const writeJson = (name: string, what: object): Promise<void> => {
    const about = { machine, when: new Date().toISOString() };
    return write(name, `${JSON.stringify({ ...about, ...what }, undefined, 2)}\n`);
  };
  if (comparisons.length > 0) {
    console.log(`\n${chatTable(comparisons)}\n`);
    await writeJson('chat.json', { seconds, comparisons });
    const pairs = comparisons.map(({ members, bare, parley }) => ({
      label: `${members} members`,
      bare: bare.saturated.deliveriesPerSecond,
      parley: parley.saturated.deliveriesPerSecond,
    }));
    await write('chat.svg', drawPairs('At saturation', 'deliveries per second', pairs));
  }
  if (manyChannels.length > 0) {
    await writeJson('channels.json', { seconds, rounds, scenarios: manyChannels });
  }
  if (history.length > 0) {
    console.log(`\n${historyTable(history)}\n`);
    await writeJson('history.json', { history });
  }
}

function list(text: string): string[] {
  return text.split(',').filter(Boolean);
}

function numbers(text: string): number[] {
  return list(text).map(Number);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
