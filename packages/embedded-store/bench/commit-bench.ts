import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { MongoClient, type Db } from 'mongodb';
import { describeMachine } from '../../../tools/bench/machine';
import { addRow, printTable } from '../../../tools/bench/table';
import { createChat, nextMessage, type ChannelState } from './chat-shape';
import { startServer } from './server';

/**
 * `npm run bench:store -- --commits [--against OTHER]`: transactions that write messages of several channels, each with
 * the counters of its channel and a read marker, in three commands and a commit. OTHER is the `command-line.js` of
 * another build of the store, or a MongoDB connection string; its rounds alternate with those of this build, so that
 * both meet the same load of the machine.
 */

const CHANNELS = 200;
const HISTORY = 100;
/** Channels × messages in each, and the number of transactions. */
const SIZES: readonly (readonly [channels: number, messages: number, transactions: number])[] = [
  [1, 1, 60],
  [1, 80, 15],
  [50, 1, 20],
  [200, 1, 15],
];
const ROUNDS = 3;
const PHASES = ['channels', 'messages', 'marks', 'commit'] as const;

export interface Side {
  name: string;
  db: Db;
  client: MongoClient;
  channels: ChannelState[];
  /** Milliseconds of processor time that its process has used; undefined when it is not known. */
  processorTime(): number | undefined;
  stop(): Promise<void>;
}

/** Milliseconds of processor time of all threads of a process (Linux). */
function processorTimeOf(pid: number): number | undefined {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const nanoseconds = threads.map((id) =>
      Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'utf8').split(' ')[0]),
    );
    return nanoseconds.reduce((sum, one) => sum + one, 0) / 1e6;
  } catch {
    return undefined;
  }
}

export async function openSide(name: string, where: string | undefined, folder: string): Promise<Side> {
  const isUri = where?.startsWith('mongodb') === true;
  const server = isUri ? undefined : await startServer(join(folder, name), where);
  const client = await new MongoClient(server?.uri ?? where ?? '', {
    writeConcern: { w: 'majority', journal: true },
  }).connect();
  const db = client.db('chatbench');
  await db.dropDatabase();
  const channels = await createChat(db, CHANNELS, HISTORY);
  return {
    name,
    db,
    client,
    channels,
    processorTime: () => (server ? processorTimeOf(server.pid) : undefined),
    async stop() {
      await client.close();
      await server?.stop();
    },
  };
}

const SETTLED_MS = 500;
const MAX_SETTLE_MS = 60_000;

/** Waits until a store has finished its background work: until it is idle for nineteen twentieths of the time. */
async function settle(side: Side): Promise<void> {
  const until = performance.now() + MAX_SETTLE_MS;
  for (let before = side.processorTime(); before !== undefined && performance.now() < until;) {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MS));
    const now = side.processorTime() ?? 0;
    if (now - before < SETTLED_MS / 20) return;
    before = now;
  }
}

/** Runs one transaction; returns the milliseconds of its phases. */
async function transaction({ client, db, channels }: Side, count: number, each: number): Promise<number[]> {
  const used = channels.slice(0, count);
  const documents = used.flatMap((channel) => Array.from({ length: each }, () => nextMessage(channel)));
  const session = client.startSession();
  session.startTransaction({ readConcern: { level: 'snapshot' } });
  const times = [performance.now()];
  await db.collection('channels').bulkWrite(
    used.map(({ _id, seq }) => ({
      updateOne: {
        filter: { _id, seq: seq - each },
        update: { $inc: { seq: each, mainSeq: each, revision: each } },
      },
    })),
    { session, ordered: false },
  );
  times.push(performance.now());
  await db.collection('messages').insertMany(documents, { session, ordered: false });
  times.push(performance.now());
  await db.collection('reads').bulkWrite(
    used.map(({ _id, senders, seq }) => ({
      updateOne: {
        filter: { channelId: _id, userId: senders[0] },
        update: { $set: { seq }, $setOnInsert: { mentions: 0 } },
        upsert: true,
      },
    })),
    { session, ordered: false },
  );
  times.push(performance.now());
  await session.commitTransaction();
  times.push(performance.now());
  await session.endSession();
  return times.slice(1).map((time, i) => time - (times[i] ?? 0));
}

interface Figures {
  phases: number[][];
  processor: number;
}

export const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

async function round(side: Side, size: (typeof SIZES)[number], figures: Figures): Promise<void> {
  const [count, each, transactions] = size;
  await transaction(side, count, each);
  const before = side.processorTime() ?? 0;
  for (let i = 0; i < transactions; i++) figures.phases.push(await transaction(side, count, each));
  figures.processor += (side.processorTime() ?? 0) - before;
}

async function measure(sides: Side[], size: (typeof SIZES)[number]): Promise<void> {
  const figures = sides.map((): Figures => ({ phases: [], processor: 0 }));
  for (let i = 0; i < ROUNDS; i++) {
    for (const [at, side] of sides.entries()) await round(side, size, figures[at] as Figures);
  }
  for (const [at, side] of sides.entries()) {
    const { phases, processor } = figures[at] as Figures;
    const total = median(phases.map((times) => times.reduce((sum, time) => sum + time, 0)));
    const parts = PHASES.map(
      (phase, i) => `${phase} ${median(phases.map((times) => times[i] ?? 0)).toFixed(1)}`,
    );
    const used =
      side.processorTime() === undefined ? '' : `, processor ${(processor / phases.length).toFixed(2)}`;
    addRow(
      `${side.name}: ${size[0]} channels × ${size[1]}`,
      `${total.toFixed(1)} ms`,
      `${parts.join(', ')}${used}`,
    );
  }
}

/** Measures the commits of this build of the store, and of another one when it is given. */
export async function benchCommits(against: string | undefined): Promise<void> {
  console.log(describeMachine());
  const folder = mkdtempSync(join(tmpdir(), 'store-commits-'));
  const sides: Side[] = [];
  try {
    sides.push(await openSide('this', undefined, folder));
    if (against !== undefined) {
      sides.push(await openSide('other', against.startsWith('mongodb') ? against : resolve(against), folder));
    }
    for (const size of SIZES) {
      for (const side of sides) await settle(side);
      await measure(sides, size);
    }
    printTable();
  } finally {
    for (const side of sides) await side.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
