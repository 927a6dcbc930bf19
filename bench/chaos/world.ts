import { setTimeout as delay } from 'node:timers/promises';
import { ObjectId } from 'mongodb';
import { openDevice, type Device } from '../../src/__tests__/fixtures/chat-device';
import type { Api } from '../../src/__tests__/fixtures/api';
import type { Person } from '../../src/__tests__/fixtures/person';
import { SendLog } from '../../src/__tests__/fixtures/send-log';
import type { Client } from '../../src/__tests__/fixtures/sockets';
import { until } from '../../src/__tests__/fixtures/until';
import type { Cluster, ClusterNode } from './cluster';
import { Random } from './random';

/** How long a request may take: a frozen node answers when it continues. */
const REQUEST_TIMEOUT_MS = 25_000;
/** After this time, the answer to an event counts as lost. */
const ACK_TIMEOUT_MS = 8000;
const PASSWORD = 'a password for the test';

type Method = 'get' | 'post' | 'patch' | 'put' | 'delete';

/** The answer to a request; undefined if none has arrived. */
export type Answer = { status: number; body: any } | undefined;

/** Something that a device has received. */
export interface Received {
  event: string;
  payload: any;
  /** By `performance.now()`. */
  at: number;
  /** Increases with each connection of the device. */
  connection: number;
}

/** A device with a record of all events that it has received. */
export interface RecordedDevice extends Device {
  received: Received[];
  close(): void;
}

/** A channel of the world, or a direct conversation. */
export interface Place {
  id: string;
  kind: 'public' | 'private' | 'direct';
}

/** The users, channels and devices of a run, and what is found to be wrong. */
export interface World {
  cluster: Cluster;
  random: Random;
  root: Person;
  /** Owns the group, is never removed, and has a device on each node. */
  owner: Person;
  ownerDevices: RecordedDevice[];
  /** Users who chat, each with a device that goes through the load balancer of a node. */
  talkers: Person[];
  talkerDevices: RecordedDevice[];
  /** Users whose rights are taken away again and again. */
  victims: Person[];
  groupId: string;
  /** The channels in which everybody chats. */
  places: Place[];
  /** A public channel with few messages, so that a later one does not reveal a lost one. */
  quiet: Place;
  log: SendLog;
  /** When each message was sent, by its `clientMessageId`. */
  sentAt: Map<string, number>;
  problems: string[];
  /** What has happened how often. */
  counts: Map<string, number>;
  /** By `performance.now()`. */
  startedAt: number;
}

/** Records something that is wrong, with the time since the start of the run. */
export function report({ problems, startedAt }: World, problem: string): void {
  problems.push(`at ${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${problem}`);
}

export function count(world: World, what: string): void {
  world.counts.set(what, (world.counts.get(what) ?? 0) + 1);
}

/** Makes a request. */
export async function request(
  url: string,
  method: Method,
  path: string,
  token?: string,
  body?: object,
): Promise<Answer> {
  try {
    const response = await fetch(url + path, {
      method: method.toUpperCase(),
      headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? undefined : JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/**
 * Makes a request on some running node, and on another one if none is answered: the node may have been killed.
 * @returns the answer, which is also in the problems if it is an internal error.
 */
export async function call(
  world: World,
  by: Person,
  method: Method,
  path: string,
  body?: object,
): Promise<NonNullable<Answer>> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const node = world.random.of(world.cluster.running);
    const answer = await request(node.url, method, path, by.token, body);
    if (answer && answer.status >= 500) {
      report(world, `${method} ${path} on node ${node.index}: ${JSON.stringify(answer.body)}`);
    }
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`${method} ${path} has not been answered.`);
    await delay(50);
  }
}

/** As `call`, for requests that must succeed. */
export async function expectCall(...args: Parameters<typeof call>): Promise<any> {
  const answer = await call(...args);
  const [, by, method, path] = args;
  if (answer.status >= 300) {
    throw new Error(`${method} ${path} by ${by.username}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}

const toApi = (url: string): Pick<Api, 'get' | 'post'> => {
  const over = async (...args: Parameters<typeof request>) => {
    const answer = await request(...args);
    if (!answer) throw new Error('no answer');
    return { ...answer, headers: {} };
  };
  const search = (query: Record<string, unknown> = {}) =>
    new URLSearchParams(
      Object.entries(query).map(([key, value]): [string, string] => [key, String(value)]),
    ).toString();
  return {
    get: (path, token, query) => over(url, 'get', `${path}?${search(query)}`, token),
    post: (path, body, token) => over(url, 'post', path, token, body as object),
  };
};

/** The REST client of a node, for `SendLog`. */
export const apiOf = ({ url }: ClusterNode): Api => toApi(url) as Api;

/** The socket of a device, for `SendLog`. */
export const clientOf = (socket: Device['socket']): Client => {
  const ask = (event: string, payload: object) => socket.timeout(ACK_TIMEOUT_MS).emitWithAck(event, payload);
  return { ask } as unknown as Client;
};

/** Opens a device. @param url of a node, or of its load balancer. */
export function openRecorded(world: World, url: string, person: Person): RecordedDevice {
  const { channelMembers } = world.cluster.collections;
  const device = openDevice(url, toApi(url) as Api, { ...person }, async (channelId) => {
    const rows = await channelMembers.find({ channelId: new ObjectId(channelId) }).toArray();
    return rows.map(({ userId }) => userId.toHexString());
  });
  const received: Received[] = [];
  let connection = 0;
  let closed = false;
  device.socket.on('connect', () => connection++);
  device.socket.onAny((event: string, payload: unknown) => {
    received.push({ event, payload, at: performance.now(), connection });
  });
  // A handshake that the server refuses because rights change at that moment, or that a killed node has begun.
  const retry = setInterval(() => {
    if (!closed && !device.socket.active) device.socket.connect();
  }, 200);
  return {
    ...device,
    received,
    close: () => {
      closed = true;
      clearInterval(retry);
      device.socket.disconnect();
    },
  };
}

/** Registers a user. */
async function signUp(cluster: Cluster, random: Random, username: string): Promise<Person> {
  const account = { username, email: `${username}@example.org`, password: PASSWORD };
  const answer = await request(
    random.of(cluster.nodes).url,
    'post',
    '/api/auth/register',
    undefined,
    account,
  );
  if (answer?.status !== 201) throw new Error(`register ${username}: ${JSON.stringify(answer)}`);
  const { user, accessToken, refreshToken } = answer.body;
  return { id: user.id, username, token: accessToken, refreshToken };
}

/** Logs in again, after a log-out or a suspension. */
export async function logIn(world: World, person: Person): Promise<void> {
  const credentials = { identifier: person.username, password: PASSWORD };
  const { accessToken, refreshToken } = await expectCall(
    world,
    person,
    'post',
    '/api/auth/login',
    credentials,
  );
  Object.assign(person, { token: accessToken, refreshToken });
}

/** Creates the users, channels and devices. */
export async function createWorld(cluster: Cluster, seed: number): Promise<World> {
  const random = new Random(seed);
  // The first account of an installation is super admin.
  const root = await signUp(cluster, random, 'root');
  const owner = await signUp(cluster, random, 'owner');
  const people = (names: string[]) => Promise.all(names.map((name) => signUp(cluster, random, name)));
  const talkers = await people(['ada', 'bruno', 'chiara', 'dario']);
  const victims = await people(['vera', 'viktor', 'viola']);
  const world: World = {
    ...{ cluster, random, root, owner, talkers, victims, groupId: '', places: [] },
    ...{ ownerDevices: [], talkerDevices: [], log: new SendLog(), sentAt: new Map() },
    ...{ quiet: { id: '', kind: 'public' }, problems: [], counts: new Map() },
    startedAt: performance.now(),
  };
  const group = { name: 'chaos', visibility: 'public' };
  world.groupId = (await expectCall(world, owner, 'post', '/api/groups', group)).group.id;
  const everybody = [...talkers, ...victims];
  for (const { id } of everybody) await addToGroup(world, id);
  const open = async (name: string, visibility: 'public' | 'private'): Promise<Place> => {
    const input = { groupId: world.groupId, name, visibility };
    const { channel } = await expectCall(world, owner, 'post', '/api/channels', input);
    return { id: channel.id, kind: visibility };
  };
  world.places = [await open('one', 'public'), await open('two', 'public'), await open('inner', 'private')];
  world.quiet = await open('quiet', 'public');
  for (const { id } of everybody) await addToChannel(world, world.places[2]!.id, id);
  for (const [one, other] of [
    [0, 1],
    [1, 2],
  ] as const) {
    const input = { userIds: [talkers[other]!.id] };
    const { conversation } = await expectCall(world, talkers[one]!, 'post', '/api/direct-messages', input);
    world.places.push({ id: conversation.channel.id, kind: 'direct' });
  }
  world.ownerDevices = cluster.nodes.map(({ balancedUrl }) => openRecorded(world, balancedUrl, owner));
  world.talkerDevices = talkers.map((person, index) =>
    openRecorded(world, cluster.nodes[index % cluster.nodes.length]!.balancedUrl, person),
  );
  for (const device of [...world.ownerDevices, ...world.talkerDevices]) {
    await device.settle();
    for (const id of device.chat.state.channels.keys()) await device.chat.loadHistory(id);
  }
  return world;
}

export async function addToGroup(world: World, userId: string): Promise<void> {
  await expectCall(world, world.owner, 'post', `/api/groups/${world.groupId}/members`, { userId });
}

export async function addToChannel(world: World, channelId: string, userId: string): Promise<void> {
  await expectCall(world, world.owner, 'post', `/api/channels/${channelId}/members`, { userId });
}

/** Waits for a condition. @returns false, and records the problem, if it does not become true in time. */
export async function expectInTime(
  world: World,
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  problem: () => string,
): Promise<boolean> {
  try {
    await until(condition, timeoutMs);
    return true;
  } catch {
    report(world, problem());
    return false;
  }
}
