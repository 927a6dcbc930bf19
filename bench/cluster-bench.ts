import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Load, LoadChannel, LoadResult } from './chat/load-generator';
import { LoadGenerator, warmUpOf } from './chat/measure';
import { createRoom, type Room } from './chat/people';
import { Target } from './chat/target';
import { inTemporaryFolder } from './chat/temporary-folder';
import { Program } from './cluster/programs';
import { describeMachine } from '../tools/bench/machine';

/**
 * `npm run bench:cluster`: what several Parley processes on one machine give, with `npm run db` as their store and a real
 * redis-server. People are distributed evenly to the processes, so that most messages reach people on other processes. The
 * load generators, the store and Redis run on the same machine and need processor time, too.
 */

const { values: given } = parseArgs({
  options: {
    processes: { type: 'string', default: '1,2,4' },
    rooms: { type: 'string', default: '24' },
    members: { type: 'string', default: '6' },
    senders: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '4' },
    quick: { type: 'boolean', default: false },
  },
});
const values = given.quick ? { ...given, rooms: '2', members: '4', seconds: '0.5' } : given;

/** The processes that send, each for a part of the rooms. */
const GENERATORS = 2;
/** The senders in each room. */
const SENDERS = Number(values.senders);
/** The concurrent sends of each sender. */
const WINDOW = 4;

/** The measurements of one number of processes. */
interface Figures {
  processes: number;
  /** The part of the deliveries that go to another process than that of the sender. */
  crossing: number;
  saturated: Measured;
  atRate: Measured;
}

interface Measured {
  messagesPerSecond: number;
  deliveriesPerSecond: number;
  /** The higher value of the load generators, in milliseconds. */
  ack: { p50: number; p99: number };
  /** Transactions that were repeated because of a conflict, for each batch of messages. */
  retries: number;
  /** Milliseconds of processor time for each message. */
  cpu: { parley: number; store: number | undefined; redis: number | undefined };
}

/** All programs of a site. */
interface Site {
  servers: Target[];
  store: Program;
  redis: Program;
}

async function measure(processes: number, rate: number | undefined): Promise<Figures> {
  return inTemporaryFolder(async (folder) => {
    const started: { stop(): Promise<void> }[] = [];
    const start = async <Part extends { stop(): Promise<void> }>(starting: Promise<Part>): Promise<Part> => {
      const part = await starting;
      started.unshift(part);
      return part;
    };
    const generators: LoadGenerator[] = [];
    try {
      const redis = await start(Program.redis(folder));
      const store = await start(Program.store(folder));
      const settings = { MONGODB_URI: store.url, REDIS_URL: redis.url };
      const servers: Target[] = [];
      for (let count = 0; count < processes; count++)
        servers.push(await start(Target.parley(folder, settings)));
      const site = { servers, store, redis };
      const rooms = await createRooms(servers);
      const placements = await Promise.all(
        Array.from({ length: GENERATORS }, async (_, part) => {
          const own = rooms.filter((_room, index) => index % GENERATORS === part);
          const channels = channelsOf(own);
          const handshakes = own.flatMap(({ people }) => people).map(({ token }) => ({ token }));
          const urls = servers.map(({ url }) => url);
          generators.push(await LoadGenerator.connect({ urls, handshakes, channels }));
          return channels;
        }),
      );
      const seconds = Number(values.seconds);
      await run(site, generators, { window: WINDOW, seconds: warmUpOf(seconds) });
      const saturated = await run(site, generators, { window: WINDOW, seconds });
      const open = rate ?? Math.max(1, Math.floor(saturated.messagesPerSecond / 2));
      const atRate = await run(site, generators, { window: 0, seconds, rate: open / GENERATORS });
      return { processes, crossing: crossingOf(placements.flat(), processes), saturated, atRate };
    } finally {
      await Promise.all(generators.map((each) => each.end()));
      for (const part of started) await part.stop();
    }
  });
}

/** Creates rooms through all servers in turn. */
async function createRooms(servers: readonly Target[]): Promise<Room[]> {
  const members = Number(values.members);
  const rooms: Room[] = [];
  for (let index = 0; index < Number(values.rooms); index++) {
    const { url } = servers[index % servers.length]!;
    rooms.push(await createRoom(url, members, index * members));
  }
  return rooms;
}

/** Returns the channels of rooms, whose people are numbered one after the other. */
function channelsOf(rooms: readonly Room[]): LoadChannel[] {
  let first = 0;
  // The first sender is another person in each room, so that the processes have equally many senders.
  return rooms.map(({ channelId, people }, room) => {
    const members = people.map((_, index) => first + index);
    first += people.length;
    return {
      id: channelId,
      members,
      senders: Array.from({ length: SENDERS }, (_, index) => members[(room + index) % members.length]!),
    };
  });
}

/** Runs a load on all generators. */
async function run(site: Site, generators: readonly LoadGenerator[], load: Load): Promise<Measured> {
  const before = await processorTimes(site);
  const counted = await countersOf(site);
  const results = await Promise.all(generators.map((each) => each.run(load)));
  const after = await processorTimes(site);
  const counters = await countersOf(site);
  const sum = (of: (result: LoadResult) => number) => results.reduce((total, each) => total + of(each), 0);
  const highest = (of: (result: LoadResult) => number) => Math.max(...results.map(of));
  const messages = sum(({ messages }) => messages);
  const each = (name: 'store' | 'redis') =>
    after[name] === undefined || before[name] === undefined
      ? undefined
      : (after[name] - before[name]) / messages;
  return {
    messagesPerSecond: sum(({ messagesPerSecond }) => messagesPerSecond),
    deliveriesPerSecond: sum(({ deliveriesPerSecond }) => deliveriesPerSecond),
    ack: { p50: highest(({ ack }) => ack.p50), p99: highest(({ ack }) => ack.p99) },
    retries: (counters.retries - counted.retries) / (counters.batches - counted.batches),
    cpu: { parley: (after.parley - before.parley) / messages, store: each('store'), redis: each('redis') },
  };
}

async function countersOf({ servers }: Site): Promise<{ batches: number; retries: number }> {
  const all = await Promise.all(servers.map((server) => server.counters()));
  const sum = (name: 'batches' | 'retries') => all.reduce((total, each) => total + (each?.[name] ?? 0), 0);
  return { batches: sum('batches'), retries: sum('retries') };
}

async function processorTimes({ servers, store, redis }: Site) {
  const usages = await Promise.all(servers.map((server) => server.usage()));
  return {
    parley: usages.reduce((total, { cpu }) => total + cpu.all, 0),
    store: await store.processorTime(),
    redis: await redis.processorTime(),
  };
}

/** Returns which part of the deliveries goes to people whose process is not that of the sender. */
function crossingOf(channels: readonly LoadChannel[], processes: number): number {
  let all = 0;
  let crossing = 0;
  for (const { members, senders } of channels) {
    for (const sender of senders) {
      all += members.length;
      crossing += members.filter((member) => member % processes !== sender % processes).length;
    }
  }
  return crossing / all;
}

function report(figures: readonly Figures[]): string {
  const row = (name: string, of: (each: Figures) => string) =>
    `| ${name} | ${figures.map((each) => of(each)).join(' | ')} |`;
  const count = (value: number) => Math.round(value).toLocaleString('en');
  const ms = (value: number | undefined) => (value === undefined ? '–' : `${value.toFixed(2)} ms`);
  const acks = ({ ack }: Measured) => `${ack.p50.toFixed(1)} / ${ack.p99.toFixed(1)} ms`;
  return [
    row('Parley processes', ({ processes }) => String(processes)),
    `| --- | ${figures.map(() => '---').join(' | ')} |`,
    row('deliveries that cross processes', ({ crossing }) => `${Math.round(100 * crossing)} %`),
    row('messages/s at most', ({ saturated }) => count(saturated.messagesPerSecond)),
    row('deliveries/s at most', ({ saturated }) => count(saturated.deliveriesPerSecond)),
    row('send to ack then, p50 / p99', ({ saturated }) => acks(saturated)),
    row('repeated transactions for each batch', ({ saturated }) => saturated.retries.toFixed(2)),
    row('messages/s at a fixed rate', ({ atRate }) => count(atRate.messagesPerSecond)),
    row('send to ack then, p50 / p99', ({ atRate }) => acks(atRate)),
    row('processor time per message, all Parley processes', ({ saturated }) => ms(saturated.cpu.parley)),
    row('… of one Parley process', ({ saturated, processes }) => ms(saturated.cpu.parley / processes)),
    row('… of the store', ({ saturated }) => ms(saturated.cpu.store)),
    row('… of Redis', ({ saturated }) => ms(saturated.cpu.redis)),
    row('messages/s that the store could commit with a core of its own', ({ saturated: { cpu } }) =>
      cpu.store ? count(1000 / cpu.store) : '–',
    ),
  ].join('\n');
}

async function main(): Promise<void> {
  console.log(describeMachine());
  const cores = cpus().length;
  const counts = values.processes.split(',').map(Number);
  const programs = Math.max(...counts) + GENERATORS + 2;
  if (programs > cores) {
    console.log(
      `Up to ${programs} processes share ${cores} cores here: Parley, the store, Redis and the load generators. More Parley processes than free cores cannot be faster.`,
    );
  }
  console.log(
    `${values.rooms} channels of ${values.members} people; senders in each: ${SENDERS}, with ${WINDOW} messages in flight.\n`,
  );
  const figures: Figures[] = [];
  let rate: number | undefined;
  for (const processes of counts) {
    const measured = await measure(processes, rate);
    // The same for all.
    rate ??= measured.atRate.messagesPerSecond;
    figures.push(measured);
  }
  console.log(report(figures));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
