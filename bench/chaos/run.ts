import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Person } from '../../src/__tests__/fixtures/person';
import { acknowledged } from '../../src/__tests__/fixtures/send-log';
import { checkAll, disorderOf, latenciesOf, type Disorder } from './checks';
import { Cluster, type ClusterNode } from './cluster';
import { board, land, watchPresence } from './presence';
import type { Random } from './random';
import { removeRepeatedly } from './removals';
import { talk } from './talk';
import {
  apiOf,
  clientOf,
  createWorld,
  expectCall,
  expectInTime,
  report,
  request,
  type Place,
  type RecordedDevice,
  type World,
} from './world';

/** How long the nodes may take to notice that Redis is gone, or back. */
const NOTICE_MS = 20_000;
/** How many messages each of the concurrent senders sends. */
const BURST = 30;

export interface ChaosOptions {
  nodes: number;
  seed: number;
  /** How long faults are repeated. Each happens at least once. */
  seconds: number;
  /** Receives what happens, as sentences. */
  log: (line: string) => void;
}

export interface ChaosResult {
  /** Everything that was wrong, as sentences. */
  problems: string[];
  /** What has happened how often. */
  counts: Map<string, number>;
  /** From a send to its arrival at other devices, in milliseconds, sorted. */
  latencies: number[];
  /** How many messages arrived after later ones while all nodes sent to one channel, of all that arrived. */
  disorder: Disorder;
  /** After how many seconds the users of each killed node were shown as offline everywhere. */
  offlineAfter: number[];
}

/**
 * Lets users chat through several nodes while nodes are killed and frozen, Redis is stopped, and rights are taken away.
 * Then compares everything that they have received and can read with what is stored.
 */
export async function runChaos({ nodes, seed, seconds, log }: ChaosOptions): Promise<ChaosResult> {
  const cluster = await Cluster.start(nodes);
  let world: World | undefined;
  try {
    world = await createWorld(cluster, seed);
    log(`${nodes} nodes are running`);
    const disorder = await burst(world);
    let isOver = false;
    const stopped = () => isOver;
    const { random, talkerDevices, victims } = world;
    const running = [
      ...talkerDevices.map((device) => talk(world!, device, random.fork(), stopped)),
      ...victims.map((victim, index) => removeRepeatedly(world!, victim, random.fork(), index * 3, stopped)),
    ];
    const end = performance.now() + seconds * 1000;
    const offlineAfter: number[] = [];
    const faults = (async () => {
      do {
        offlineAfter.push(await playFaults(world, random.fork(), log));
      } while (performance.now() < end);
    })();
    await Promise.all([faults.finally(() => (isOver = true)), ...running]);
    log('the faults are over');
    await checkAll(world);
    const { problems, counts } = world;
    return { problems, counts, latencies: latenciesOf(world), disorder, offlineAfter };
  } finally {
    for (const device of world ? [...world.ownerDevices, ...world.talkerDevices] : []) device.close();
    await cluster.close();
  }
}

/** Sends many messages to one channel through all nodes at the same time, before anything is wrong. */
async function burst(world: World): Promise<Disorder> {
  const { ownerDevices, talkerDevices, owner, places, log, sentAt } = world;
  const [{ id: channelId }] = places as [Place];
  const send = async (device: RecordedDevice) => {
    const input = { clientMessageId: randomUUID(), body: 'at the same time' };
    sentAt.set(input.clientMessageId, performance.now());
    const attempt = await log.overSocket(clientOf(device.socket), owner, channelId, input);
    if (!acknowledged(attempt))
      report(world, `a message is not acknowledged: ${JSON.stringify(attempt.answer)}`);
  };
  // Two senders on each node: each sends the next message when the last one is acknowledged.
  const senders = [...ownerDevices, ...ownerDevices].map(async (device) => {
    for (let index = 0; index < BURST; index++) await send(device);
  });
  await Promise.all(senders);
  const devices = [...ownerDevices, ...talkerDevices];
  await Promise.all(devices.map((device) => device.settle()));
  const each = devices.map(disorderOf);
  return {
    late: each.reduce((sum, { late }) => sum + late, 0),
    all: each.reduce((sum, { all }) => sum + all, 0),
  };
}

/** Each fault once. @returns the seconds after which the users of the killed node were shown as offline. */
async function playFaults(world: World, random: Random, log: (line: string) => void): Promise<number> {
  const { cluster } = world;
  const doomed = random.of(cluster.nodes);
  const [lost, rescued] = [await createPassenger(world), await createPassenger(world)];
  const passengers = await board(world, doomed, lost, rescued);
  const killedAt = performance.now();
  passengers.lost.close();
  await cluster.kill(doomed);
  log(`node ${doomed.index} was killed`);
  await land(world, passengers);
  const watching = watchPresence(world, passengers, killedAt);
  await withoutRedis(world, log);
  await withoutEvents(world, random, log);
  await withFrozen(world, random.of(cluster.running), log);
  await cluster.restart(doomed);
  log(`node ${doomed.index} was started again`);
  const seconds = await watching;
  log(`its users were shown as offline after ${seconds.toFixed(1)} s`);
  passengers.rescued.close();
  return seconds;
}

async function createPassenger(world: World): Promise<Person> {
  const username = `passenger-${randomUUID().slice(0, 8)}`;
  const account = { username, email: `${username}@example.org`, password: 'a password for the test' };
  const body = await expectCall(world, world.owner, 'post', '/api/auth/register', account);
  const { user, accessToken: token, refreshToken } = body;
  await expectCall(world, world.owner, 'post', `/api/groups/${world.groupId}/members`, { userId: user.id });
  return { id: user.id, username, token, refreshToken };
}

/** Stops Redis for a while. Messages are still acknowledged, and the nodes report the outage. */
async function withoutRedis(world: World, log: (line: string) => void): Promise<void> {
  const { cluster } = world;
  await cluster.stopRedis();
  log('Redis was stopped');
  await expectHealth(world, 'failed');
  for (const node of cluster.running) {
    await expectAcknowledged(world, node, world.places[0]!.id);
  }
  await delay(3000);
  await cluster.startRedis();
  log('Redis was started again');
  await expectHealth(world, 'ok');
}

/** Lets Redis lose what nodes publish. Only the numbers of their batches reveal it. */
async function withoutEvents(world: World, random: Random, log: (line: string) => void): Promise<void> {
  const { cluster } = world;
  await cluster.refuseEvents(true);
  log('Redis refuses events');
  await expectAcknowledged(world, random.of(cluster.running), world.quiet.id);
  await delay(1000);
  await cluster.refuseEvents(false);
  log('Redis accepts events again');
}

/** Suspends a node for longer than others wait for it, and continues it. */
async function withFrozen(world: World, node: ClusterNode, log: (line: string) => void): Promise<void> {
  world.cluster.freeze(node);
  log(`node ${node.index} was suspended`);
  await delay(4500);
  world.cluster.resume(node);
  log(`node ${node.index} continues`);
}

async function expectAcknowledged(world: World, node: ClusterNode, channelId: string): Promise<void> {
  const input = { clientMessageId: randomUUID(), body: 'in bad times' };
  const attempt = await world.log.overRest(apiOf(node), world.owner, channelId, input);
  if (!acknowledged(attempt)) {
    report(world, `node ${node.index} has not acknowledged a message: ${JSON.stringify(attempt.answer)}`);
  }
}

async function expectHealth(world: World, redis: 'ok' | 'failed'): Promise<void> {
  for (const node of world.cluster.running) {
    let body: unknown;
    await expectInTime(
      world,
      async () => {
        const answer = await request(node.url, 'get', '/health/ready');
        body = answer?.body;
        return answer?.status === 200 && answer.body.checks.redis === redis;
      },
      NOTICE_MS,
      () => `node ${node.index} does not report that Redis is ${redis}: ${JSON.stringify(body)}`,
    );
  }
}
