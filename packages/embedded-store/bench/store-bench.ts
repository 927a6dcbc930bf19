import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BSON, MongoClient, ObjectId, type Collection } from 'mongodb';
import { startEmbeddedStore } from '../src';
import { describeMachine } from '../../../tools/bench/machine';
import { milliseconds, addRow, printTable, rate } from '../../../tools/bench/table';
import { benchCommands } from './command-bench';
import { benchCommits } from './commit-bench';
import { mapLookups, memory, plainAppends, timerDelay } from './machine';
import { startServer } from './server';

/**
 * `npm run bench:store [-- --large DOCUMENTS]`: the embedded store in a process of its own, measured through
 * the driver, beside what the disk itself can do: appending to a file with fdatasync. At the end the same data
 * is scanned by a store in a worker thread of this process. With `--commits` or `--commands`, see
 * commit-bench.ts and command-bench.ts.
 */

const largeAt = process.argv.indexOf('--large');
const LARGE = largeAt < 0 ? 1_000_000 : Number(process.argv[largeAt + 1]);
const WORDS = 'the quick brown fox jumps over lazy dogs while people chat about running servers'.split(' ');

interface Message {
  _id: ObjectId;
  channel: number;
  seq: number;
  body: string;
  at: Date;
}

function message(seq: number): Message {
  const body = Array.from({ length: 8 }, (_, i) => WORDS[(seq * 7 + i * i) % WORDS.length]).join(' ');
  const rare = seq % 10_000 === 0 ? ' zeppelin' : '';
  return { _id: new ObjectId(), channel: seq % 10, seq, body: body + rare, at: new Date() };
}

async function writes(client: MongoClient, folder: string): Promise<void> {
  const messages = client.db('bench').collection<Message>('writes');
  await messages.createIndex({ channel: 1, seq: -1 }, { unique: true });
  const bytes = BSON.calculateObjectSize(message(0));
  const plain = plainAppends(folder, bytes);
  addRow(`append ${bytes} bytes + fdatasync, plain file, alone`, `${plain.toFixed(0)}/s`);
  const alone = await rate(500, 1, (i) => messages.insertOne(message(i)));
  addRow('insertOne, one at a time', `${alone.toFixed(0)}/s`, `${(alone / plain).toFixed(2)} × plain file`);
  const many = await rate(10_000, 64, (i) => messages.insertOne(message(1_000 + i)));
  addRow('insertOne, 64 at once', `${many.toFixed(0)}/s`, `${(many / plain).toFixed(2)} × plain file`);
  const counters = client.db('bench').collection<{ _id: string; n: number }>('counters');
  await counters.insertOne({ _id: 'c', n: 0 });
  const increments = await rate(3_000, 32, () => counters.findOneAndUpdate({ _id: 'c' }, { $inc: { n: 1 } }));
  addRow('$inc by findOneAndUpdate, 32 at once', `${increments.toFixed(0)}/s`);
  const found = await messages.findOne({});
  const byId = await rate(3_000, 1, () => messages.findOne({ _id: found?._id ?? new ObjectId() }));
  const map = mapLookups(10_000);
  addRow('findOne by _id', `${byId.toFixed(0)}/s`, `a Map: ${(map / 1e6).toFixed(1)} million/s`);
}

async function pages(messages: Collection<Message>, highest: number): Promise<number> {
  const read = (i: number) =>
    messages
      .find({ channel: i % 10, seq: { $lt: highest - ((i * 37) % (highest / 2)) } })
      .sort({ seq: -1 })
      .limit(50)
      .toArray();
  await rate(200, 1, read);
  return 1000 / (await rate(1_000, 1, read));
}

async function fill(messages: Collection<Message>, count: number): Promise<void> {
  const batch = 2_000;
  await rate(Math.ceil(count / batch), 2, (i) =>
    messages.insertMany(
      Array.from({ length: Math.min(batch, count - i * batch) }, (_, k) => message(i * batch + k)),
    ),
  );
}

async function reading(client: MongoClient, pid: number): Promise<void> {
  const small = client.db('bench').collection<Message>('thousand');
  const large = client.db('bench').collection<Message>('large');
  for (const collection of [small, large]) await collection.createIndex({ channel: 1, seq: -1 });
  await fill(small, 1_000);
  const filled = await milliseconds(() => fill(large, LARGE));
  addRow(`insertMany of ${LARGE} documents`, `${((LARGE / filled) * 1000).toFixed(0)}/s`);
  const few = await pages(small, 1_000);
  const many = await pages(large, LARGE);
  addRow('page of 50 out of a thousand', `${few.toFixed(2)} ms`);
  addRow(`page of 50 out of ${LARGE}`, `${many.toFixed(2)} ms`, `${(many / few).toFixed(2)} × a thousand`);
  addRow(`memory after inserting ${LARGE} documents`, memory(pid));
  const built = await milliseconds(() => large.createIndex({ body: 'text' }));
  addRow('build of the text index', `${(built / 1000).toFixed(1)} s`);
  const search = (words: string) => () =>
    large
      .find({ $text: { $search: words } }, { projection: { score: { $meta: 'textScore' } } })
      .sort({ score: { $meta: 'textScore' } })
      .limit(50)
      .toArray();
  for (const [name, words] of [
    ['a rare word', 'zeppelin'],
    ['a common word', 'fox'],
    ['two words', 'brown servers'],
  ] as const) {
    addRow(`text search, ${name}, best 50`, `${(1000 / (await rate(10, 1, search(words)))).toFixed(1)} ms`);
  }
}

async function reopening(dataDir: string): Promise<void> {
  const server = await startServer(dataDir);
  addRow(`start of the process on ${LARGE} documents`, `${server.openMs.toFixed(0)} ms`);
  const client = await new MongoClient(server.uri).connect();
  await pages(client.db('bench').collection<Message>('large'), LARGE);
  addRow('memory after a thousand pages', memory(server.pid));
  await client.close();
  await server.stop();
}

/** How much a timer of this thread is late while the store, in its worker thread, scans all documents. */
async function besideScan(dataDir: string): Promise<void> {
  let store: Awaited<ReturnType<typeof startEmbeddedStore>> | undefined;
  const opened = await milliseconds(async () => {
    store = await startEmbeddedStore({ dataDir });
  });
  if (!store) return;
  addRow('start in a worker thread of a running process', `${opened.toFixed(0)} ms`);
  const client = await new MongoClient(store.uri).connect();
  const large = client.db('bench').collection<Message>('large');
  const quiet = await timerDelay(() => new Promise((resolve) => setTimeout(resolve, 1_000)));
  let spent = 0;
  const delay = await timerDelay(async () => {
    spent = await milliseconds(() => large.countDocuments({ body: /zeppelin$/ }));
  });
  addRow(`scan of ${LARGE} documents with a regex`, `${(spent / 1000).toFixed(1)} s`);
  addRow(
    'latest timer of the main thread meanwhile',
    `${delay.toFixed(0)} ms late`,
    `idle: ${quiet.toFixed(0)} ms`,
  );
  await client.close();
  await store.close();
}

async function main(): Promise<void> {
  console.log(describeMachine());
  const folder = mkdtempSync(join(tmpdir(), 'parley-bench-'));
  try {
    const dataDir = join(folder, 'data');
    const server = await startServer(dataDir);
    const client = await new MongoClient(server.uri, {
      maxPoolSize: 64,
      writeConcern: { w: 'majority', journal: true },
    }).connect();
    await writes(client, folder);
    await reading(client, server.pid);
    addRow('memory after the text index and searches', memory(server.pid));
    await client.close();
    await server.stop();
    await reopening(dataDir);
    await besideScan(dataDir);
    printTable();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const againstAt = process.argv.indexOf('--against');
const against = againstAt < 0 ? undefined : process.argv[againstAt + 1];
const run = process.argv.includes('--commits')
  ? benchCommits(against)
  : process.argv.includes('--commands')
    ? benchCommands(against)
    : main();

run.catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
