import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ClientSession, Document } from 'mongodb';
import { describeMachine } from '../../../tools/bench/machine';
import { addRow, printTable } from '../../../tools/bench/table';
import { nextMessage, type ChannelState } from './chat-shape';
import { median, openSide, type Side } from './commit-bench';

/**
 * `npm run bench:store -- --commands [--against OTHER]`: the processor time that the store uses for each command of a
 * chat. The commands are those of a transaction with a message in each of 16 channels, and reads whose cost is mostly that
 * of a command: a ping shows what the driver and the socket cost alone. OTHER is the `command-line.js` of another build;
 * its rounds alternate with those of this build.
 */

const CHANNELS = 16;
const ROUNDS = 8;
/** Rounds before those that count, until the code is compiled. */
const WARM_UP = 12;
/** Commands of one kind in a round. */
const REPEATS = 40;
const READS = 300;

/** One kind of command: what it is called in the table, how often it runs in a round, and how to run it. */
interface Kind {
  name: string;
  repeats: number;
  run: (side: Side, turn: number) => Promise<unknown>;
}

/** The commands of a transaction, in their order. Each returns when the store has answered. */
const STEPS: readonly { name: string; run(side: Side, session: ClientSession): Promise<unknown> }[] = [
  {
    name: `update of ${CHANNELS} channels`,
    run: ({ db, channels }, session) =>
      db.collection('channels').bulkWrite(
        channels.slice(0, CHANNELS).map(({ _id, seq }) => ({
          updateOne: {
            filter: { _id, revision: seq, mainSeq: seq },
            update: { $set: { seq: seq + 1, mainSeq: seq + 1, revision: seq + 1 } },
          },
        })),
        { session },
      ),
  },
  {
    name: `insert of ${CHANNELS} messages`,
    run: ({ db, channels }, session) =>
      db.collection('messages').insertMany(
        channels.slice(0, CHANNELS).map((channel) => nextMessage(channel)),
        { session },
      ),
  },
  {
    name: `upsert of ${CHANNELS} read markers`,
    run: ({ db, channels }, session) =>
      db.collection('reads').bulkWrite(
        channels.slice(0, CHANNELS).map(({ _id, senders, seq }) => ({
          updateOne: {
            filter: { channelId: _id, userId: senders[seq % senders.length] },
            update: { $max: { seq, mainSeq: seq }, $set: { own: 0 }, $inc: { version: 1 } },
            upsert: true,
          },
        })),
        { session },
      ),
  },
  { name: 'commit', run: (_side, session) => session.commitTransaction() },
];

const READS_OF: readonly Kind[] = [
  { name: 'ping', repeats: READS, run: ({ db }) => db.command({ ping: 1 }) },
  {
    name: 'findOne by _id',
    repeats: READS,
    run: (side, turn) => side.db.collection('channels').findOne({ _id: channelAt(side, turn)._id }),
  },
  {
    name: 'page of 50',
    repeats: READS / 3,
    run: (side, turn) =>
      side.db
        .collection('messages')
        .find({ channelId: channelAt(side, turn)._id, seq: { $lt: 100 } })
        .sort({ seq: -1 })
        .limit(50)
        .toArray(),
  },
  {
    name: 'findOneAndUpdate with $inc',
    repeats: READS / 3,
    run: (side, turn) => {
      const { _id, senders } = channelAt(side, turn);
      const filter = { channelId: _id, userId: senders[0] };
      return side.db.collection<Document>('reads').findOneAndUpdate(filter, { $inc: { version: 1 } });
    },
  },
];

function channelAt({ channels }: Side, turn: number): ChannelState {
  return channels[turn % channels.length] as ChannelState;
}

type Figures = Map<string, number[]>;

function addFigure(figures: Figures, name: string, value: number): void {
  const values = figures.get(name);
  if (values) values.push(value);
  else figures.set(name, [value]);
}

/** Runs transactions, and adds the milliseconds of processor time for each of its commands. */
async function transactions(side: Side, figures: Figures): Promise<void> {
  const used = STEPS.map(() => 0);
  for (let i = 0; i < REPEATS; i++) {
    const session = side.client.startSession();
    session.startTransaction({ readConcern: { level: 'snapshot' } });
    for (const [at, step] of STEPS.entries()) {
      const before = side.processorTime() ?? 0;
      await step.run(side, session);
      used[at] = (used[at] ?? 0) + (side.processorTime() ?? 0) - before;
    }
    await session.endSession();
  }
  for (const [at, { name }] of STEPS.entries()) addFigure(figures, name, (used[at] ?? 0) / REPEATS);
}

async function reads(side: Side, figures: Figures): Promise<void> {
  for (const { name, repeats, run } of READS_OF) {
    const before = side.processorTime() ?? 0;
    for (let i = 0; i < repeats; i++) await run(side, i);
    addFigure(figures, name, ((side.processorTime() ?? 0) - before) / repeats);
  }
}

/** Measures the commands of this build of the store, and of another one when it is given. */
export async function benchCommands(against: string | undefined): Promise<void> {
  console.log(describeMachine());
  const folder = mkdtempSync(join(tmpdir(), 'store-commands-'));
  const sides: Side[] = [];
  try {
    sides.push(await openSide('this', undefined, folder));
    if (against !== undefined) sides.push(await openSide('other', resolve(against), folder));
    const figures = sides.map((): Figures => new Map());
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      for (const [at, side] of sides.entries()) {
        const into = round < 0 ? new Map<string, number[]>() : (figures[at] as Figures);
        await transactions(side, into);
        await reads(side, into);
      }
    }
    for (const name of [...STEPS, ...READS_OF].map((kind) => kind.name)) {
      const [own = 0, other] = figures.map((one) => median(one.get(name) ?? []) * 1000);
      const compared =
        other === undefined ? '' : `other: ${other.toFixed(0)} µs, ${(own / other).toFixed(2)} of it`;
      addRow(name, `${own.toFixed(0)} µs`, compared);
    }
    printTable();
  } finally {
    for (const side of sides) await side.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
