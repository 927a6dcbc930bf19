import { isDeepStrictEqual } from 'node:util';
import type { Person } from '../../src/__tests__/fixtures/person';
import { expectCall, expectInTime, report, type RecordedDevice, type World } from './world';

/** How long clients may take to reach the state of the server after the last fault. */
const CONVERGENCE_MS = 20_000;

/** Compares what clients know, what users can read, and what is stored. Nothing is sent meanwhile. */
export async function checkAll(world: World): Promise<void> {
  const { ownerDevices, talkerDevices, log, cluster, places, quiet } = world;
  const devices = [...ownerDevices, ...talkerDevices];
  await Promise.all(
    devices.map((device) => device.settle().catch((error: Error) => report(world, error.message))),
  );
  const stored = await log.problems(
    cluster.collections,
    [...places, quiet].map(({ id }) => id),
  );
  for (const problem of stored) report(world, problem);
  for (const device of devices) {
    // A client that has missed something learns of it within a few seconds, without sending anything.
    let differences: string[] = [];
    await expectInTime(
      world,
      async () => {
        differences = await differencesOf(world, device);
        return differences.length === 0;
      },
      CONVERGENCE_MS,
      () => `a device of ${device.person.username} differs from the server: ${differences.join('; ')}`,
    );
    for (const problem of repetitionsOf(device)) report(world, problem);
  }
  for (const person of [world.owner, ...world.talkers, ...world.victims]) {
    const { drift } = await expectCall(world, person, 'get', '/api/client/verify');
    if (drift.length > 0)
      report(world, `the counts of ${person.username} are wrong: ${JSON.stringify(drift)}`);
  }
}

/** What a client knows and a new client would read differently. */
async function differencesOf(world: World, { person, chat }: RecordedDevice): Promise<string[]> {
  const differences: string[] = [];
  const { channels, outbox } = chat.state;
  const compare = (what: string, known: unknown, read: unknown) => {
    if (!isDeepStrictEqual(known, read)) {
      differences.push(`${what}: ${JSON.stringify(known)}, not ${JSON.stringify(read)}`);
    }
  };
  const fresh = await readFresh(world, person);
  compare('channels', [...channels.keys()].sort(), [...fresh.keys()].sort());
  for (const [id, { channel, read, messages }] of fresh) {
    const known = channels.get(id);
    if (!known) continue;
    // The members of a public channel are those of its group, and not part of its revisions.
    const memberCount = channel.visibility === 'public' ? known.channel.memberCount : channel.memberCount;
    compare(`channel ${id}`, known.channel, { ...channel, memberCount });
    compare(`revision of ${id}`, known.revision, channel.revision);
    const { readSeq, unread, mentions } = known.read;
    compare(`counts of ${id}`, { readSeq, unread, mentions }, read);
    for (const message of messages.filter(({ seq }) => seq >= known.from)) {
      const shown = known.messages?.find(({ seq }) => seq === message.seq);
      if (known.messages) compare(`message ${message.seq} of ${id}`, shown, message);
    }
    if (known.messages) {
      const expected = messages.filter(({ seq }) => seq >= known.from).map(({ seq }) => seq);
      compare(
        `order of ${id}`,
        known.messages.map(({ seq }) => seq),
        expected,
      );
    }
  }
  compare(
    'outbox',
    outbox.filter(({ refused }) => refused === undefined),
    [],
  );
  return differences;
}

/** What a new client reads over REST. */
async function readFresh(world: World, person: Person) {
  const get = (path: string) => expectCall(world, person, 'get', path);
  const { added } = await expectCall(world, person, 'post', '/api/client/sync', { since: {} });
  const channels = new Map<string, { channel: any; read: any; messages: any[] }>();
  for (const { channel, read } of added) {
    const messages: any[] = [];
    for (let after: number | null = 0; after !== null;) {
      const page = await get(`/api/channels/${channel.id}/messages?limit=200&after=${after}`);
      messages.push(...page.messages);
      after = page.nextCursor;
    }
    const { readSeq, unread, mentions } = read;
    channels.set(channel.id, { channel, read: { readSeq, unread, mentions }, messages });
  }
  return channels;
}

/** Messages that a device has received more than once over the same connection. */
function repetitionsOf({ person, received }: RecordedDevice): string[] {
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const { event, payload, connection } of received) {
    if (event !== 'message:created') continue;
    const key = `${connection} ${payload.message.id}`;
    if (seen.has(key)) problems.push(`${person.username} has received message ${payload.message.id} twice`);
    seen.add(key);
  }
  return problems;
}

/** How many changes have arrived after later ones of their channel, of all that have arrived. */
export interface Disorder {
  late: number;
  all: number;
}

/** The changes that a device has received. */
export function disorderOf({ received }: RecordedDevice): Disorder {
  const newest = new Map<string, number>();
  let late = 0;
  let all = 0;
  for (const { event, payload, connection } of received) {
    if (!event.startsWith('message:')) continue;
    const { channelId, revision } = payload.message;
    const key = `${connection} ${channelId}`;
    all++;
    if (revision < (newest.get(key) ?? 0)) late++;
    newest.set(key, Math.max(newest.get(key) ?? 0, revision));
  }
  return { late, all };
}

/** The times from sends to their arrival at other devices, in milliseconds, sorted. */
export function latenciesOf({ sentAt, ownerDevices, talkerDevices }: World): number[] {
  return [...ownerDevices, ...talkerDevices]
    .flatMap(({ received }) =>
      received.flatMap(({ event, payload, at }) => {
        const from = event === 'message:created' ? sentAt.get(payload.message.clientMessageId) : undefined;
        return from === undefined ? [] : [at - from];
      }),
    )
    .sort((one, other) => one - other);
}
