import type { Person } from '../../src/__tests__/fixtures/person';
import type { Cluster, ClusterNode } from './cluster';
import {
  expectCall,
  expectInTime,
  openRecorded,
  report,
  request,
  type RecordedDevice,
  type World,
} from './world';

/** How long a user may be shown as present after their node was killed. */
const LIMIT_MS = 30_000;
/** How long a change of a status may take to be shown on all nodes. */
const CHANGE_MS = 20_000;

/** Users of a node that is going to be killed. */
export interface Passengers {
  /** Leaves with the node, like a client that was switched off. */
  lost: RecordedDevice;
  /** Reconnects to another node. */
  rescued: RecordedDevice;
}

/** Connects users to a node through its load balancer. Resolves when all nodes show them as online. */
export async function board(
  world: World,
  node: ClusterNode,
  lost: Person,
  rescued: Person,
): Promise<Passengers> {
  const open = (person: Person) => openRecorded(world, node.balancedUrl, person);
  const passengers = { lost: open(lost), rescued: open(rescued) };
  for (const person of [lost, rescued]) await expectStatus(world, person, 'online');
  return passengers;
}

/** Waits until a user whose node was killed has reconnected, and all nodes know it by a new status of theirs. */
export async function land(world: World, { rescued: { person } }: Passengers): Promise<void> {
  await expectCall(world, person, 'patch', '/api/client/preferences', {
    doNotDisturbUntil: new Date(Date.now() + 3_600_000).toISOString(),
  });
  await expectStatus(world, person, 'do_not_disturb');
}

/**
 * Watches the presence of the users of a node that was killed a moment ago.
 * @returns the seconds after which no node has shown the lost one any more.
 */
export async function watchPresence(
  world: World,
  { lost, rescued }: Passengers,
  killedAt: number,
): Promise<number> {
  const elapsed = () => performance.now() - killedAt;
  await expectInTime(
    world,
    () => everyNodeShows(world, lost.person.id, 'offline'),
    LIMIT_MS - elapsed(),
    () => `${lost.person.username} is online ${Math.round(elapsed())} ms after the kill`,
  );
  const seconds = elapsed() / 1000;
  for (const { received } of world.ownerDevices) {
    const offline = received.filter(
      ({ event, payload, at }) =>
        event === 'presence:changed' && at > killedAt && payload.offline.includes(rescued.person.id),
    );
    if (offline.length > 0) {
      report(world, `${rescued.person.username}, who has reconnected, was shown as offline`);
    }
  }
  for (const { index, url } of world.cluster.running) {
    const status = await statusOf(world, url, rescued.person.id);
    if (status !== 'do_not_disturb') {
      report(world, `${rescued.person.username}, who has reconnected, is ${status} on node ${index}`);
    }
  }
  return seconds;
}

async function expectStatus(world: World, { id, username }: Person, status: string): Promise<void> {
  await expectInTime(
    world,
    () => everyNodeShows(world, id, status),
    CHANGE_MS,
    () => `not every node shows ${username} as ${status}`,
  );
}

async function everyNodeShows(world: World, userId: string, status: string): Promise<boolean> {
  const { running }: Cluster = world.cluster;
  const shown = await Promise.all(running.map(({ url }) => statusOf(world, url, userId)));
  return shown.every((each) => each === status);
}

async function statusOf(world: World, url: string, userId: string): Promise<string | undefined> {
  const answer = await request(url, 'get', `/api/users/${userId}/presence`, world.owner.token);
  return answer?.body?.presence?.status;
}
