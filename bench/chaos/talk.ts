import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { acknowledged, type SendInput } from '../../src/__tests__/fixtures/send-log';
import type { Random } from './random';
import { apiOf, call, clientOf, count, type Place, type RecordedDevice, type World } from './world';

/** The pause between two actions of a user, in milliseconds. */
const PAUSE_MS = 60;

/** Lets a user chat and change things at random, through all nodes, until `stopped` says so. */
export async function talk(
  world: World,
  device: RecordedDevice,
  random: Random,
  stopped: () => boolean,
): Promise<void> {
  while (!stopped()) {
    await act(world, device, random);
    await delay(random.below(PAUSE_MS * 2));
  }
}

async function act(world: World, device: RecordedDevice, random: Random): Promise<void> {
  const { person, chat } = device;
  const place = random.of(placesOf(world, person.id));
  const shown = chat.state.channels.get(place.id)?.messages ?? [];
  const own = shown.filter(({ senderId, deletedAt }) => senderId === person.id && !deletedAt);
  const any = shown.filter(({ deletedAt }) => !deletedAt);
  const roll = random.below(100);
  if (roll < 25) {
    const clientMessageId = randomUUID();
    const content = { body: text(world, random) };
    world.log.attempts.push({ by: person, channelId: place.id, input: { clientMessageId, ...content } });
    world.sentAt.set(clientMessageId, performance.now());
    chat.send(place.id, content, clientMessageId);
    return count(world, 'sends');
  }
  if (roll < 55) return sendAndRepeat(world, device, place, random);
  if (roll < 62 && own.length > 0) {
    const body = `${text(world, random)}, that is`;
    await call(world, person, 'patch', `/api/messages/${random.of(own).id}`, { body });
    return count(world, 'edits');
  }
  if (roll < 67 && own.length > 0) {
    await call(world, person, 'delete', `/api/messages/${random.of(own).id}`);
    return count(world, 'deletions');
  }
  if (roll < 77 && any.length > 0) {
    const path = `/api/messages/${random.of(any).id}/reactions/${encodeURIComponent(random.of(['👍', '🎉']))}`;
    await call(world, person, random.chance(0.7) ? 'put' : 'delete', path);
    return count(world, 'reactions');
  }
  if (roll < 87 && any.length > 0) {
    const { seq } = random.of(any);
    await (random.chance(0.7) ? chat.markRead(place.id, seq) : chat.markUnread(place.id, seq));
    return count(world, 'read markers');
  }
  if (roll < 90) {
    device.breakConnection();
    return count(world, 'broken connections');
  }
  if (roll < 93) {
    const whom = random.of(world.talkers.filter(({ id }) => id !== person.id)).id;
    await call(world, person, random.chance(0.4) ? 'put' : 'delete', `/api/users/me/blocks/${whom}`);
    return count(world, 'blocks');
  }
  if (roll < 96) {
    // The last private channel belongs to the owner, who adds and removes members.
    const inner = world.places.find(({ kind }) => kind === 'private')!;
    const path = `/api/channels/${inner.id}/members`;
    if (random.chance(0.5)) await call(world, world.owner, 'post', path, { userId: person.id });
    else await call(world, person, 'delete', `${path}/${person.id}`);
    return count(world, 'members of the private channel');
  }
  const change = random.chance(0.5)
    ? { topic: randomUUID() }
    : { visibility: random.of(['public', 'private'] as const) };
  await call(world, world.owner, 'patch', `/api/channels/${world.places[1]!.id}`, change);
  return count(world, 'changes of a channel');
}

/** Sends a message and, sometimes, once more: at the same time or later, through another node or transport. */
async function sendAndRepeat(
  world: World,
  device: RecordedDevice,
  place: Place,
  random: Random,
): Promise<void> {
  const shown = device.chat.state.channels.get(place.id)?.messages ?? [];
  const root = shown.find(({ deletedAt, threadId }) => !deletedAt && !threadId);
  const input: SendInput = { clientMessageId: randomUUID(), body: text(world, random) };
  if (root && random.chance(0.2)) input.threadId = root.id;
  else if (root && random.chance(0.1)) input.replyToId = root.id;
  world.sentAt.set(input.clientMessageId, performance.now());
  const first = sendOnce(world, device, place, input, random);
  count(world, 'sends');
  if (random.chance(0.2)) device.breakConnection();
  const repeats = random.chance(0.4) ? 1 + random.below(2) : 0;
  if (random.chance(0.5)) await first;
  for (let time = 0; time < repeats; time++) {
    await sendOnce(world, device, place, input, random);
    count(world, 'repeated sends');
  }
  await first;
}

async function sendOnce(
  world: World,
  device: RecordedDevice,
  place: Place,
  input: SendInput,
  random: Random,
): Promise<void> {
  const { person, socket } = device;
  const { log, cluster } = world;
  const overSocket = socket.connected && random.chance(0.5);
  const attempt = await (overSocket
    ? log.overSocket(clientOf(socket), person, place.id, input)
    : log.overRest(apiOf(random.of(cluster.running)), person, place.id, input));
  if (acknowledged(attempt)) count(world, 'acknowledgements');
}

function placesOf(world: World, userId: string): Place[] {
  const index = world.talkers.findIndex(({ id }) => id === userId);
  const direct = world.places.filter(({ kind }) => kind === 'direct');
  // Each conversation is between a talker and the next one.
  return [
    ...world.places.filter(({ kind }) => kind !== 'direct'),
    ...direct.filter((_, at) => at === index || at + 1 === index),
  ];
}

function text(world: World, random: Random): string {
  const people = [...world.talkers, world.owner];
  return random.of(['hello', 'well', '@channel look', `hi @${random.of(people).username}`]);
}
