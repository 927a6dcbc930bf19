import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureHistory, type HistoryCost } from './chat/history';
import { measureIdle, measureLoad, type Measured } from './chat/measure';
import { createRoom, type Room } from './chat/people';
import { drawPairs } from './chat/plot';
import { chatTable, historyTable } from './chat/report';
import { Target } from './chat/target';
import { inTemporaryFolder } from './chat/temporary-folder';
import { describeMachine } from '../tools/bench/machine';

/**
 * `npm run bench`: compares built Parley on the embedded store with a bare Socket.IO broadcast that stores and checks
 * nothing, in one run on one machine, with the load generator in a process of its own. It prints tables, and writes
 * JSON files and an SVG. An empty list of members or sizes skips that part.
 */

const { values } = parseArgs({
  options: {
    members: { type: 'string', default: '10,100,1000' },
    history: { type: 'string', default: '1000,100000,1000000' },
    seconds: { type: 'string', default: '8' },
    out: { type: 'string', default: 'docs/bench' },
  },
});

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
    const parley = await Target.parley(folder);
    try {
      const room = await createRoom(parley.url, members);
      const idle = { bare: await measureIdle(bare, room), parley: await measureIdle(parley, room) };
      const senders = Math.min(members, SATURATION.senders);
      const load = (target: Target, rate?: number): Promise<Measured> =>
        measureLoad(target, room, { ...SATURATION, senders, seconds, ...(rate && { rate }) });
      await warmUp(bare, room);
      await warmUp(parley, room);
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

/** Warms up the JavaScript compiler. */
async function warmUp(target: Target, room: Room): Promise<void> {
  await measureLoad(target, room, { senders: Math.min(room.tokens.length, 10), window: 4, seconds: 2 });
}

async function main(): Promise<void> {
  const seconds = Number(values.seconds);
  const machine = describeMachine();
  console.log(machine);
  const comparisons: Comparison[] = [];
  for (const members of numbers(values.members)) {
    console.log(`Channel of ${members} …`);
    comparisons.push(await compare(members, seconds));
  }
  const history: HistoryCost[] = await measureHistory(numbers(values.history));

  await mkdir(values.out, { recursive: true });
  const write = async (name: string, what: object): Promise<void> => {
    const about = { machine, when: new Date().toISOString() };
    const path = join(values.out, name);
    await writeFile(path, `${JSON.stringify({ ...about, ...what }, undefined, 2)}\n`);
    console.log(`Written: ${path}`);
  };
  if (comparisons.length > 0) {
    console.log(`\n${chatTable(comparisons)}\n`);
    await write('chat.json', { seconds, comparisons });
    const pairs = comparisons.map(({ members, bare, parley }) => ({
      label: `${members} members`,
      bare: bare.saturated.deliveriesPerSecond,
      parley: parley.saturated.deliveriesPerSecond,
    }));
    await writeFile(join(values.out, 'chat.svg'), drawPairs('At saturation', 'deliveries per second', pairs));
  }
  if (history.length > 0) {
    console.log(`\n${historyTable(history)}\n`);
    await write('history.json', { history });
  }
}

function numbers(list: string): number[] {
  return list.split(',').filter(Boolean).map(Number);
}

void main();
