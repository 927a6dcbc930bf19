import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { ObjectId } from 'mongodb';
import { copyPerson } from '../../fixtures/copies';
import { signUp, signUpAll, type Person } from '../../fixtures/people';
import { HAS_REDIS, startRedis, type RedisProcess } from '../../fixtures/redis';
import { acknowledged, SendLog, type Attempt, type SendInput } from '../../fixtures/send-log';
import { counterOf, startTestServer, type TestServer } from '../../fixtures/server';
import { connect, type Client } from '../../fixtures/sockets';
import { problemsOfEvents, problemsOfReads, readChannels } from '../../fixtures/stored-channels';
import { until } from '../../fixtures/until';
import { upload } from '../../fixtures/uploads';

/**
 * Sends to many channels through two nodes, concurrently with everything that can make a send fail or a remembered
 * channel outdated. `MESSAGES_SECONDS=600` tries for ten minutes, `MESSAGES_SEED` another sequence.
 */
const SECONDS = Number(process.env['MESSAGES_SECONDS'] ?? 0);
const SEED = Number(process.env['MESSAGES_SEED'] ?? 20_268);
const RUNS = 2;

if (!HAS_REDIS) console.warn('Messages are sent through one node only: there is no redis-server.');

let redis: RedisProcess | undefined;
/** All write to the same database. */
let nodes: TestServer[];
let people: Person[];

beforeAll(async () => {
  redis = HAS_REDIS ? await startRedis() : undefined;
  const settings: Record<string, string> = redis ? { REDIS_URL: redis.url } : {};
  const first = await startTestServer(settings, { soleWriter: false });
  nodes = redis ? [first, await startTestServer(settings, { beside: first })] : [first];
  // The first account is super admin and may do everything.
  await signUp(first.api, 'root');
  people = Object.values(await signUpAll(first.api, 'owner', 'ada', 'bruno', 'chiara'));
});
afterAll(async () => {
  for (const node of nodes.toReversed()) await node.close();
  await redis?.close();
});

/** A step of a user. Numbers choose among the objects that exist at that moment. */
type Step = { node: number; rest: boolean; by: number; channel: number; pick: number } & (
  | {
      kind: 'send';
      what: 'text' | 'mention' | 'everyone' | 'reply' | 'quote' | 'file' | 'nothing' | 'astray';
    }
  | { kind: 'repeat' | 'reuse' | 'edit' | 'delete' | 'read' | 'unread' }
  | { kind: 'archive' | 'announce' | 'slow' | 'member' | 'block'; on: boolean }
);

const common = {
  node: fc.nat(1),
  rest: fc.boolean(),
  by: fc.nat(3),
  channel: fc.nat(20),
  pick: fc.nat(100),
};
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      ...common,
      kind: fc.constant('send' as const),
      what: fc.constantFrom(
        ...(['text', 'text', 'text', 'mention', 'everyone', 'reply', 'quote', 'file'] as const),
        ...(['nothing', 'astray'] as const),
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      ...common,
      kind: fc.constantFrom(...(['repeat', 'repeat', 'reuse', 'edit', 'delete', 'read', 'unread'] as const)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      ...common,
      kind: fc.constantFrom(...(['archive', 'announce', 'slow', 'member', 'member', 'block'] as const)),
      on: fc.boolean(),
    }),
  },
);

interface Place {
  id: string;
  kind: 'public' | 'private' | 'direct';
  /** The users who may read it now, by their index. */
  readers: Set<number>;
  /** The users who have read it all the time. */
  alwaysReaders: Set<number>;
  archived: boolean;
  announcementOnly: boolean;
  slow: boolean;
}

/** Users in the channels of a group and in direct conversations, each connected to every node. */
interface World {
  groupId: string;
  people: Person[];
  /** By user and node. */
  clients: Client[][];
  places: Place[];
  blocks: Set<string>;
  uploads: Map<number, string[]>;
  log: SendLog;
  nodeOf: Map<Attempt, number>;
  /** Messages with the users who could not read them when they were sent. */
  hidden: { messageId: string; from: number[] }[];
  deleted: Set<string>;
  surprises: string[];
}

const at = <Item>(items: readonly Item[], index: number): Item => items[index % items.length]!;
const pairKey = (one: number, other: number) => [one, other].sort().join();

async function createWorld(publics: number, privates: number): Promise<World> {
  const [node] = nodes as [TestServer];
  const copies: Person[] = [];
  for (const person of people) copies.push(await copyPerson(node, person, 'writer'));
  const owner = copies[0]!;
  const create = async (path: string, by: Person, body: object) => {
    const answer = await node.api.post(path, body, by.token);
    expect([path, answer.status < 300]).toEqual([path, true]);
    return answer.body;
  };
  const group = await create('/api/groups', owner, { name: randomUUID(), visibility: 'public' });
  const groupId: string = group.group.id;
  for (const { id } of copies.slice(1)) await create(`/api/groups/${groupId}/members`, owner, { userId: id });
  const places: Place[] = [];
  const place = (id: string, kind: Place['kind'], readers: number[]) =>
    places.push({
      id,
      kind,
      readers: new Set(readers),
      alwaysReaders: new Set(readers),
      archived: false,
      announcementOnly: false,
      slow: false,
    });
  for (let index = 0; index < publics + privates; index++) {
    const kind = index < publics ? 'public' : 'private';
    const input = { groupId, name: randomUUID(), visibility: kind };
    const { id } = (await create('/api/channels', owner, input)).channel;
    place(id, kind, [0, 1, 2, 3]);
    if (kind === 'public') continue;
    for (const { id: userId } of copies.slice(1)) {
      await create(`/api/channels/${id}/members`, owner, { userId });
    }
  }
  for (const readers of [
    [1, 2],
    [2, 3],
    [0, 3],
    [0, 1, 2],
  ]) {
    const [by, ...others] = readers.map((index) => copies[index]!);
    const input = { userIds: others.map(({ id }) => id) };
    place((await create('/api/direct-messages', by!, input)).conversation.channel.id, 'direct', readers);
  }
  const uploads = new Map<number, string[]>();
  for (const [index, person] of copies.entries()) {
    uploads.set(index, [(await upload(node.api, person, 'a plain text', 'note.txt')).id]);
  }
  const clients = await Promise.all(
    copies.map(({ token }) =>
      Promise.all(nodes.map(({ url }) => connect(url, token, { transports: ['websocket'] }))),
    ),
  );
  return {
    groupId,
    people: copies,
    clients,
    places,
    blocks: new Set(),
    uploads,
    log: new SendLog(),
    nodeOf: new Map(),
    hidden: [],
    deleted: new Set(),
    surprises: [],
  };
}

/** Whether a user may send to a channel. The first user is its owner. */
const mayWrite = (
  { blocks }: World,
  by: number,
  { kind, readers, archived, announcementOnly }: Place,
): boolean => {
  if (!readers.has(by) || archived) return false;
  if (kind !== 'direct') return !announcementOnly || by === 0;
  return readers.size > 2 || !blocks.has(pairKey(...([...readers] as [number, number])));
};

/** Sends, and notes an answer that is not as it must be. */
async function send(
  world: World,
  by: number,
  place: Place,
  input: SendInput,
  { node, rest }: Pick<Step, 'node' | 'rest'>,
  expected: 'accepted' | 'refused' | 'either',
): Promise<Attempt> {
  const { log, people: all, clients } = world;
  const index = node % nodes.length;
  const sending = rest
    ? log.overRest(nodes[index]!.api, all[by]!, place.id, input)
    : log.overSocket(clients[by]![index]!, all[by]!, place.id, input);
  world.nodeOf.set(log.attempts.at(-1)!, index);
  const attempt = await sending;
  const was = attempt.answer === undefined ? 'lost' : acknowledged(attempt) ? 'accepted' : 'refused';
  if (expected === 'either' ? was === 'lost' : was !== expected) {
    const answer = typeof attempt.answer === 'string' ? attempt.answer : was;
    world.surprises.push(`${JSON.stringify(input)} to a ${place.kind} channel: ${answer}, not ${expected}`);
  }
  return attempt;
}

/**
 * Takes a step. Its sends must succeed or fail as the rights say, unless a step of the same round changes these.
 * @param earlier the attempts before this round.
 * @param unsettled the channels whose rules may change during the round.
 */
async function take(
  world: World,
  one: Step,
  earlier: readonly Attempt[],
  unsettled: ReadonlySet<Place>,
): Promise<void> {
  const { people: all, places, deleted, surprises } = world;
  const { by, pick } = one;
  const person = all[by]!;
  const place = at(places, one.channel);
  const { api } = at(nodes, one.node);
  const call = async (
    who: Person,
    method: 'post' | 'patch' | 'put' | 'delete',
    path: string,
    body?: object,
  ): Promise<void> => {
    const { status } = await api.call(method, path, { token: who.token, body });
    if (status >= 500) surprises.push(`${method} ${path}: ${status}`);
  };
  const sent = earlier.filter((attempt) => acknowledged(attempt));
  const settled = (to: Place, expected: 'accepted' | 'refused' | 'either') => {
    if (unsettled.has(to)) return 'either';
    return mayWrite(world, by, to) ? expected : 'refused';
  };

  switch (one.kind) {
    case 'send': {
      const input: SendInput = { clientMessageId: randomUUID(), body: `text ${pick}` };
      let expected: 'accepted' | 'refused' | 'either' = place.slow && by !== 0 ? 'either' : 'accepted';
      const here = sent.filter(({ channelId }) => channelId === place.id);
      const target = here.length > 0 ? acknowledged(at(here, pick)) : undefined;
      if (one.what === 'mention') input.body = `hello @${at(all, pick).username}`;
      if (one.what === 'everyone') input.body = '@channel hello';
      if (target && one.what === 'reply') input.threadId = target.id;
      if (target && one.what === 'quote') input.replyToId = target.id;
      // The target may be deleted, and replies continue in the thread of a reply.
      if (target && ['reply', 'quote'].includes(one.what) && deleted.has(target.id)) expected = 'either';
      if (one.what === 'file') {
        input.attachmentIds = world.uploads.get(by)!;
        // Only one message can have it.
        expected = 'either';
      }
      if (one.what === 'nothing') {
        input.body = '';
        expected = 'refused';
      }
      const elsewhere = sent.find(({ channelId }) => channelId !== place.id);
      if (one.what === 'astray' && elsewhere) {
        input.threadId = acknowledged(elsewhere)!.id;
        expected = 'refused';
      }
      const strangers = [...all.keys()].filter((index) => !place.readers.has(index));
      const attempt = await send(world, by, place, input, one, settled(place, expected));
      const message = acknowledged(attempt);
      if (message && !unsettled.has(place)) world.hidden.push({ messageId: message.id, from: strangers });
      return;
    }
    case 'repeat':
    case 'reuse': {
      const own = earlier.filter((attempt) => attempt.by === person);
      if (own.length === 0) return;
      const { channelId, input } = at(own, pick);
      const known = own.some(
        (attempt) => attempt.input.clientMessageId === input.clientMessageId && acknowledged(attempt),
      );
      const to = places.find(({ id }) => id === channelId)!;
      const wasSent = own.some((attempt) => attempt.input === input && acknowledged(attempt));
      if (one.kind === 'repeat') {
        await send(world, by, to, input, one, settled(to, wasSent ? 'accepted' : 'either'));
        return;
      }
      const other = { clientMessageId: input.clientMessageId, body: `otherwise ${randomUUID()}` };
      await send(world, by, to, other, one, settled(to, known ? 'refused' : 'either'));
      return;
    }
    case 'edit':
    case 'delete': {
      const own = sent.filter((attempt) => attempt.by === person);
      const id = own.length > 0 ? acknowledged(at(own, pick))!.id : undefined;
      if (id === undefined) return;
      if (one.kind === 'delete') await call(person, 'delete', `/api/messages/${id}`);
      else await call(person, 'patch', `/api/messages/${id}`, { body: `edited @${at(all, pick).username}` });
      return;
    }
    case 'read':
      await call(person, 'put', `/api/channels/${place.id}/read`, { seq: 1 + (pick % 5) });
      return;
    case 'unread':
      await call(person, 'post', `/api/channels/${place.id}/unread`, { seq: 1 + (pick % 5) });
      return;
    case 'archive':
      await call(all[0]!, 'post', `/api/channels/${place.id}/${one.on ? 'archive' : 'restore'}`);
      return;
    case 'announce':
      await call(all[0]!, 'patch', `/api/channels/${place.id}`, { announcementOnly: one.on });
      return;
    case 'slow':
      await call(all[0]!, 'patch', `/api/channels/${place.id}`, { slowModeSeconds: one.on ? 600 : 0 });
      return;
    case 'member': {
      const userId = all[1 + (pick % 3)]!.id;
      if (one.on) await call(all[0]!, 'post', `/api/channels/${place.id}/members`, { userId });
      else if (place.kind === 'private') {
        await call(all[0]!, 'delete', `/api/channels/${place.id}/members/${userId}`);
      }
      return;
    }
    case 'block': {
      const whom = at(all, by + 1 + (pick % 3));
      await call(person, one.on ? 'put' : 'delete', `/api/users/me/blocks/${whom.id}`);
    }
  }
}

/** Takes the steps of a round concurrently, and reads the rules that apply after it. */
async function takeAll(world: World, steps: readonly Step[]): Promise<void> {
  const { places, log, deleted } = world;
  const earlier = [...log.attempts];
  const unsettled = new Set<Place>();
  for (const one of steps) {
    if (one.kind === 'block') {
      for (const place of places) if (place.kind === 'direct') unsettled.add(place);
    } else if ('on' in one) unsettled.add(at(places, one.channel));
    if (one.kind === 'delete') {
      // Which message it deletes is known to the step alone.
      for (const attempt of earlier) {
        if (attempt.by === world.people[one.by]) deleted.add(acknowledged(attempt)?.id ?? '');
      }
    }
  }
  await Promise.all(steps.map((one) => take(world, one, earlier, unsettled)));
  await readRules(world);
}

async function readRules(world: World): Promise<void> {
  const { channels, channelMembers, blocks } = nodes[0]!.context.database.collections;
  const found = await channels
    .find({ _id: { $in: world.places.map(({ id }) => new ObjectId(id)) } })
    .toArray();
  const members = await channelMembers.find({ channelId: { $in: found.map(({ _id }) => _id) } }).toArray();
  const indexOf = (id: ObjectId) => world.people.findIndex((person) => person.id === id.toHexString());
  for (const place of world.places) {
    const channel = found.find(({ _id }) => _id.toHexString() === place.id)!;
    place.archived = channel.archivedAt !== null;
    place.announcementOnly = channel.announcementOnly === true;
    place.slow = channel.slowModeSeconds > 0;
    if (place.kind === 'public') continue;
    const own = members.filter(({ channelId }) => channelId.equals(channel._id));
    place.readers = new Set(own.map(({ userId }) => indexOf(userId)));
    for (const index of place.alwaysReaders) if (!place.readers.has(index)) place.alwaysReaders.delete(index);
  }
  const userIds = world.people.map(({ id }) => new ObjectId(id));
  const blocked = await blocks.find({ userId: { $in: userIds } }).toArray();
  world.blocks = new Set(
    blocked.map(({ userId, blockedId }) => pairKey(indexOf(userId), indexOf(blockedId))),
  );
}

/**
 * Lifts all restrictions, and sends one more message to each channel through each node. All of them must be accepted;
 * when they have arrived, everything before them has.
 */
async function finish(world: World): Promise<void> {
  const { people: all, clients, places, blocks, log } = world;
  const [{ api }] = nodes as [TestServer];
  for (const key of blocks) {
    const [one, other] = key.split(',').map((index) => all[Number(index)]!) as [Person, Person];
    await api.delete(`/api/users/me/blocks/${other.id}`, one.token);
    await api.delete(`/api/users/me/blocks/${one.id}`, other.token);
  }
  for (const { id, archived } of places) {
    if (archived) await api.post(`/api/channels/${id}/restore`, undefined, all[0]!.token);
  }
  await readRules(world);
  for (const node of nodes.keys()) {
    await Promise.all(
      places.map((place) => {
        const by = place.kind === 'direct' ? [...place.readers][0]! : 0;
        const input = { clientMessageId: `last ${node} ${place.id}`.replaceAll(' ', '-'), body: 'the last' };
        return send(world, by, place, input, { node, rest: false }, 'accepted');
      }),
    );
  }
  expect(world.surprises).toEqual([]);
  const last = log.attempts.slice(-places.length * nodes.length);
  for (const [index, own] of clients.entries()) {
    for (const [node, client] of own.entries()) {
      const expected = last.filter(
        (attempt) =>
          world.nodeOf.get(attempt) === node &&
          places.some(({ id, readers }) => id === attempt.channelId && readers.has(index)),
      );
      const missing = () => {
        const received = new Set(client.messages.map(({ message }) => message.id));
        return expected.filter((attempt) => !received.has(acknowledged(attempt)!.id));
      };
      await until(() => missing().length === 0, 20_000).catch(() => {
        const channelIds = missing().map(({ channelId }) => channelId);
        throw new Error(`${all[index]!.username} has not received the last message of ${channelIds.join()}`);
      });
    }
  }
}

/** Compares everything that users have been told with what is stored. */
async function problemsOf(world: World): Promise<string[]> {
  const { people: all, clients, places, hidden, log, surprises } = world;
  const { collections } = nodes[0]!.context.database;
  const problems = [
    ...surprises,
    ...(await log.problems(
      collections,
      places.map(({ id }) => id),
    )),
  ];
  const stored = await readChannels(
    collections,
    places.map(({ id }) => id),
  );
  for (const [index, person] of all.entries()) {
    const note = (found: string[]) =>
      problems.push(...found.map((problem) => `${person.username}: ${problem}`));
    const reads = (channelId: string) => places.find(({ id }) => id === channelId)!.alwaysReaders.has(index);
    const kept = new Set(hidden.filter(({ from }) => from.includes(index)).map(({ messageId }) => messageId));
    note(problemsOfEvents(clients[index]!, reads, stored));
    const seen = clients[index]!.flatMap(({ messages }) => messages).filter(
      ({ event, message }) => event === 'message:created' && kept.has(message.id),
    );
    if (seen.length > 0) note([`received ${seen.length} messages that were not for them`]);
    const readable = places.filter(({ readers }) => readers.has(index)).map(({ id }) => id);
    // The users share the histories between them.
    const listed = readable.filter((_, each) => each % all.length === index);
    note(await problemsOfReads(at(nodes, index).api, person, readable, stored, listed));
  }
  return problems;
}

function close({ clients }: World): void {
  for (const client of clients.flat()) client.close();
}

test(
  'every acknowledged message is stored, numbered, published and counted once, whatever happens in other channels',
  async () => {
    if (SECONDS > 0) console.log(`seed ${SEED}`);
    const round = fc.array(step, { minLength: 15, maxLength: 40, size: 'max' });
    const rounds = fc.array(round, { minLength: 3, maxLength: 5, size: 'max' });
    let runs = 0;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(rounds, async (taken) => {
        runs++;
        const world = await createWorld(5, 4);
        try {
          for (const steps of taken) await takeAll(world, steps);
          await finish(world);
          expect(await problemsOf(world)).toEqual([]);
          accepted += world.log.attempts.filter((attempt) => acknowledged(attempt)).length;
        } finally {
          close(world);
        }
      }),
      {
        seed: SEED,
        endOnFailure: true,
        ...(SECONDS > 0
          ? { numRuns: 1_000_000, interruptAfterTimeLimit: SECONDS * 1000 }
          : { numRuns: RUNS }),
      },
    );
    expect(accepted).toBeGreaterThan(20);
    if (SECONDS > 0) console.log(`${runs} runs, ${accepted} messages`);
  },
  120_000 + SECONDS * 1500,
);

(HAS_REDIS ? test : test.skip)(
  'two nodes that send to the same channels at the same time write each message once, although they conflict',
  async () => {
    const retries = async () => {
      const counts = await Promise.all(
        nodes.map((node) => counterOf(node, 'parley_message_batch_retries_total')),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    };
    const before = await retries();
    const world = await createWorld(8, 2);
    const text = (by: number, round: number): SendInput => ({
      clientMessageId: randomUUID(),
      body: round % 2 ? 'hello' : `hello @${at(world.people, by + 1).username}`,
    });
    try {
      for (let round = 0; round < 2; round++) {
        // Both nodes remember all channels from here on, and each message of one makes the other's memory outdated.
        await Promise.all(
          world.places.flatMap((place) =>
            [...place.readers].flatMap((by) =>
              [...nodes.keys()].map((node) =>
                send(world, by, place, text(by, round), { node, rest: false }, 'accepted'),
              ),
            ),
          ),
        );
      }
      await finish(world);
      expect(await problemsOf(world)).toEqual([]);
    } finally {
      close(world);
    }
    // Otherwise the two nodes have hardly disturbed each other. One transaction has messages of many channels, and counts once.
    expect((await retries()) - before).toBeGreaterThan(2);
  },
  120_000,
);
