import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Person } from '../../src/__tests__/fixtures/person';
import { acknowledged, type Attempt } from '../../src/__tests__/fixtures/send-log';
import { until } from '../../src/__tests__/fixtures/until';
import type { ClusterNode } from './cluster';
import type { Random } from './random';
import {
  addToChannel,
  addToGroup,
  apiOf,
  call,
  clientOf,
  count,
  expectCall,
  expectInTime,
  logIn,
  openRecorded,
  report,
  request,
  type RecordedDevice,
  type World,
} from './world';

/** The least number of removals of each user, so that together they go through all kinds. */
const MIN_REMOVALS = 3;
/** How long delivery may take to catch up after all faults of a run. */
const CATCH_UP_MS = 45_000;

/** A way to take a right away from a user, and to give it back. */
interface Removal {
  name: string;
  /** The channel that the user can no longer use, by its place in the world. */
  place: number;
  /** Whether the user can still read the channel. */
  canRead?: boolean;
  /** Whether the sessions of the user end. */
  endsSessions?: boolean;
  /** The codes with which a send is refused. */
  codes: readonly string[];
  remove(world: World, victim: Person): Promise<unknown>;
  undo(world: World, victim: Person): Promise<unknown>;
}

const restrict = (kind: 'banned' | 'muted'): Pick<Removal, 'remove' | 'undo'> => ({
  remove: (world, { id }) =>
    expectCall(world, world.owner, 'put', `/api/channels/${world.places[0]!.id}/restrictions/${id}`, {
      kind,
      reason: '',
    }),
  undo: (world, { id }) =>
    expectCall(world, world.owner, 'delete', `/api/channels/${world.places[0]!.id}/restrictions/${id}`),
});
const comeBack = async (world: World, { id }: Person) => {
  await addToGroup(world, id);
  await addToChannel(world, world.places[2]!.id, id);
};

const REMOVALS: readonly Removal[] = [
  {
    name: 'removal from the group',
    place: 0,
    codes: ['not_found'],
    remove: (world, { id }) =>
      expectCall(world, world.owner, 'delete', `/api/groups/${world.groupId}/members/${id}`),
    undo: comeBack,
  },
  {
    name: 'ban from the group',
    place: 2,
    codes: ['not_found'],
    remove: (world, { id }) =>
      expectCall(world, world.owner, 'put', `/api/groups/${world.groupId}/bans/${id}`, { reason: 'x' }),
    undo: async (world, victim) => {
      await expectCall(world, world.owner, 'delete', `/api/groups/${world.groupId}/bans/${victim.id}`);
      await comeBack(world, victim);
    },
  },
  {
    name: 'removal from a private channel',
    place: 2,
    codes: ['not_found'],
    remove: (world, { id }) =>
      expectCall(world, world.owner, 'delete', `/api/channels/${world.places[2]!.id}/members/${id}`),
    undo: (world, { id }) => addToChannel(world, world.places[2]!.id, id),
  },
  { name: 'ban from a channel', place: 0, codes: ['not_found'], ...restrict('banned') },
  { name: 'mute', place: 0, canRead: true, codes: ['muted'], ...restrict('muted') },
  {
    name: 'suspension',
    place: 0,
    endsSessions: true,
    codes: ['session_revoked', 'account_suspended'],
    remove: (world, { id }) =>
      expectCall(world, world.root, 'post', `/api/admin/users/${id}/suspend`, { reason: 'x' }),
    undo: async (world, victim) => {
      await expectCall(world, world.root, 'post', `/api/admin/users/${victim.id}/restore`);
      await logIn(world, victim);
    },
  },
  {
    name: 'log-out',
    place: 2,
    endsSessions: true,
    codes: ['session_revoked'],
    // Repeated after a lost answer, it is refused because it has taken effect.
    remove: (world, victim) => call(world, victim, 'post', '/api/auth/logout'),
    undo: logIn,
  },
];

/**
 * Takes rights away from a user and gives them back, in turn and in every way, until `stopped` says so. As soon as a call
 * that takes a right away has returned, no node may accept anything by that right, over REST or on an open socket, or show
 * the user what is sent afterwards.
 * @param first the kind of removal to begin with
 */
export async function removeRepeatedly(
  world: World,
  victim: Person,
  random: Random,
  first: number,
  stopped: () => boolean,
): Promise<void> {
  let devices = openDevices(world, victim);
  for (let times = 0; times < MIN_REMOVALS || !stopped(); times++) {
    const removal = REMOVALS[(first + times) % REMOVALS.length]!;
    await removeOnce(world, victim, devices, removal);
    if (removal.endsSessions) {
      for (const device of devices) device.close();
      devices = openDevices(world, victim);
    }
    count(world, 'removals');
    count(world, removal.name);
    await delay(random.below(100));
  }
  for (const device of devices) device.close();
}

/** A device on each node, without the load balancer: one whose node is killed or frozen has to wait for it. */
function openDevices(world: World, victim: Person): RecordedDevice[] {
  return world.cluster.nodes.map(({ url }) => openRecorded(world, url, victim));
}

async function removeOnce(
  world: World,
  victim: Person,
  devices: readonly RecordedDevice[],
  removal: Removal,
): Promise<void> {
  const place = world.places[removal.place]!;
  const old = { ...victim };
  const say = (problem: string) => report(world, `${removal.name} of ${victim.username}: ${problem}`);
  // Sends that run at the same moment are decided one way or the other.
  const racing = world.cluster.running.map((node) =>
    world.log.overRest(apiOf(node), old, place.id, { clientMessageId: randomUUID(), body: 'at this moment' }),
  );
  await removal.remove(world, victim);
  // The call has returned.
  const { nodes } = world.cluster;
  const asked = nodes.filter(({ state }) => state !== 'killed');
  const markers = sendMarkers(world, place.id);
  const answers = await Promise.all(
    asked.map(async (node) => {
      const socket = devices[node.index]!.socket;
      const [overRest, overSocket, read] = await Promise.all([
        refusalOverRest(world, node, old, place.id),
        socket.connected ? refusalOverSocket(world, socket, old, place.id) : undefined,
        request(node.url, 'get', `/api/channels/${place.id}/messages?limit=1`, old.token),
      ]);
      if (overRest !== undefined && !removal.codes.includes(overRest)) {
        say(`node ${node.index} (${node.state}) answered a send over REST with ${overRest}`);
      }
      if (overSocket !== undefined && !removal.codes.includes(overSocket)) {
        say(`node ${node.index} (${node.state}) answered a send over a socket with ${overSocket}`);
      }
      if (read && read.status < 300 !== (removal.canRead ?? false)) {
        say(`node ${node.index} (${node.state}) answered ${read.status} to a read`);
      }
      return overRest;
    }),
  );
  const codes = new Set(answers.filter((code) => code !== undefined));
  if (codes.size > 1) say(`the nodes answer differently: ${[...codes].join()}`);
  await Promise.all(racing);
  const sent = (await markers).flatMap((attempt) => acknowledged(attempt) ?? []);
  // Every node publishes them before the user may read the channel again.
  await expectInTime(
    world,
    () =>
      world.ownerDevices.every(({ chat }) =>
        sent.every(({ id }) => chat.state.channels.get(place.id)?.messages?.some((known) => known.id === id)),
      ),
    CATCH_UP_MS,
    () => `the devices of ${world.owner.username} have not received what was sent in ${place.id}`,
  );
  if (removal.endsSessions) {
    await until(() => devices.every(({ socket }) => !socket.connected), CATCH_UP_MS).catch(() =>
      say('a socket is still connected'),
    );
  }
  if (!removal.canRead) {
    const hidden = new Set(sent.map(({ id }) => id));
    for (const [index, { received }] of devices.entries()) {
      const leaked = received.filter(({ payload }) => hidden.has(payload?.message?.id ?? payload?.messageId));
      for (const { event } of leaked) say(`node ${index} has sent ${event} of a later message`);
    }
  }
  await removal.undo(world, victim);
}

/** Sends a message through each node that answers, and changes it. */
async function sendMarkers(world: World, channelId: string): Promise<Attempt[]> {
  return Promise.all(
    world.cluster.running.map(async (node) => {
      const input = { clientMessageId: randomUUID(), body: 'after it' };
      const attempt = await world.log.overRest(apiOf(node), world.owner, channelId, input);
      const message = acknowledged(attempt);
      if (message) {
        await request(node.url, 'patch', `/api/messages/${message.id}`, world.owner.token, {
          body: 'changed',
        });
      }
      return attempt;
    }),
  );
}

/** @returns the code of the refusal, `accepted`, or undefined if no answer has arrived. */
async function refusalOverRest(
  world: World,
  node: ClusterNode,
  by: Person,
  channelId: string,
): Promise<string | undefined> {
  const input = { clientMessageId: randomUUID(), body: 'too late' };
  const { answer } = await world.log.overRest(apiOf(node), by, channelId, input);
  return typeof answer === 'object' ? 'accepted' : answer;
}

async function refusalOverSocket(
  world: World,
  socket: RecordedDevice['socket'],
  by: Person,
  channelId: string,
): Promise<string | undefined> {
  const input = { clientMessageId: randomUUID(), body: 'too late' };
  const { answer } = await world.log.overSocket(clientOf(socket), by, channelId, input);
  return typeof answer === 'object' ? 'accepted' : answer;
}
