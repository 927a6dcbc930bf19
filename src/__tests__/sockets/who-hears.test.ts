import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { PATIENCE, rounds, SEED } from '../db/support/budget';
import type { Answer } from '../fixtures/api';
import { ACTS, companions, HearingModel, type Command } from '../fixtures/hearing-model';
import { signUp, type Person } from '../fixtures/people';
import { startTestServer, type TestServer } from '../fixtures/server';
import { connect, type Client, type Told } from '../fixtures/sockets';

const PEOPLE = 4;
/** Where everybody listens: two devices each, and the second person on one of the slower kind. */
const transportsOf = (who: number) => ['websocket', who === 1 ? 'polling' : 'websocket'];

let server: TestServer;
let people: Person[];
/** Those of each person. */
let devices: Client[][];

beforeAll(async () => {
  server = await startTestServer();
  // The first account is super admin, and passes everywhere.
  await signUp(server.api, 'root');
  people = await Promise.all(Array.from({ length: PEOPLE }, (_, who) => signUp(server.api, `p${who}x`)));
  devices = await Promise.all(
    people.map(({ token }, who) =>
      Promise.all(
        transportsOf(who).map((transport) => connect(server.url, token, { transports: [transport] })),
      ),
    ),
  );
});
afterAll(async () => {
  for (const device of devices.flat()) device.close();
  await server.close();
});

/** A group on the server, and the model of it. */
interface World {
  model: HearingModel;
  groupId: string;
  /** Those of the channels of the model, in their order. */
  channelIds: string[];
}

async function createWorld(): Promise<World> {
  const model = new HearingModel(PEOPLE);
  const group = { name: `group ${randomUUID()}`, visibility: 'public' };
  const answer = await server.api.post('/api/groups', group, people[0]!.token);
  await collect();
  const world: World = { model, groupId: answer.body.group.id, channelIds: [] };
  const start: Command[] = [
    { act: 'create', who: 0, where: 0, flag: false },
    { act: 'create', who: 0, where: 0, flag: true },
    ...people.slice(1).map((_, index): Command => ({ act: 'join', who: index + 1, where: 0, flag: false })),
  ];
  for (const command of start) await step(world, command);
  return world;
}

/** What the server is asked for to do a command. */
function perform({ groupId, channelIds, model }: World, { act, who, where, flag }: Command): Promise<Answer> {
  const { api } = server;
  const person = people[who]!;
  const owner = people[0]!.token;
  const group = `/api/groups/${groupId}`;
  const id = channelIds.length > 0 ? channelIds[model.channelAt(where)]! : '';
  const channel = `/api/channels/${id}`;
  const put = (path: string, body: object) => api.call('put', path, { body, token: owner });
  const userIds = companions(who, PEOPLE).map((other) => people[other]!.id);
  switch (act) {
    case 'send':
      return send(who, id, flag);
    case 'join':
    case 'leave':
      return api.post(`${group}/${act}`, undefined, person.token);
    case 'remove':
      return api.delete(`${group}/members/${person.id}`, owner);
    case 'ban':
    case 'mute':
      return put(`${channel}/restrictions/${person.id}`, { kind: act === 'ban' ? 'banned' : 'muted' });
    case 'lift':
      return api.delete(`${channel}/restrictions/${person.id}`, owner);
    case 'close':
    case 'open':
      return api.patch(channel, { visibility: act === 'close' ? 'private' : 'public' }, owner);
    case 'take':
      return api.post(`${channel}/members`, { userId: person.id }, owner);
    case 'expel':
      return api.delete(`${channel}/members/${person.id}`, owner);
    case 'quit':
      return api.delete(`${channel}/members/${person.id}`, person.token);
    case 'archive':
    case 'restore':
      return api.post(`${channel}/${act}`, undefined, owner);
    case 'rename':
      return api.patch(channel, { topic: randomUUID() }, owner);
    case 'create': {
      const input = { groupId, name: randomUUID(), visibility: flag ? 'private' : 'public' };
      return api.post('/api/channels', input, owner);
    }
    case 'delete':
      return api.delete(channel, owner);
    case 'talk':
      return api.post('/api/direct-messages', { userIds }, person.token);
    case 'invite':
      return api.post(`/api/direct-messages/${id}/people`, { userIds }, person.token);
  }
}

/** The status that REST gives to what a socket acknowledges. */
const STATUS: Record<string, number> = { not_found: 404, muted: 403, channel_archived: 409 };

async function send(who: number, channelId: string, bySocket: boolean): Promise<Answer> {
  const input = { clientMessageId: randomUUID(), body: 'Who hears me?' };
  if (!bySocket) {
    return server.api.post(`/api/channels/${channelId}/messages`, input, people[who]!.token);
  }
  const ack = await devices[who]![0]!.ask('message:send', { channelId, ...input });
  if (ack.ok) return { status: 201, body: ack.data, headers: {} };
  return { status: STATUS[ack.error.code] ?? 0, body: { error: ack.error }, headers: {} };
}

/** Who may read each channel, and who is in the group (under -1). */
type Sight = Map<number, Set<number>>;
function sightOf({ model }: World): Sight {
  const everybody = people.map((_, who) => who);
  const sight: Sight = new Map([[-1, new Set(model.members)]]);
  model.channels.forEach((_, index) => {
    sight.set(index, new Set(everybody.filter((who) => model.reads(who, index))));
  });
  return sight;
}

/** What each device has been told since the last time. All that was sent before is there. */
async function collect(): Promise<Told[][][]> {
  const all = devices.flat();
  // Refused before the database is asked, so as cheap as an answer can be.
  await Promise.all(all.map((device) => device.ask('message:delete', {})));
  for (const device of all) device.heard.splice(0);
  return devices.map((own) => own.map(({ told }) => told.splice(0)));
}

/** Does a command on both sides, and compares the answer and all that everybody has heard. */
async function step(world: World, command: Command): Promise<void> {
  const { model, channelIds } = world;
  // The owner of the group stays in its channels: somebody has to see all.
  const index = model.channels.length > 0 ? model.channelAt(command.where) : 0;
  if (command.act === 'quit' && command.who === 0 && model.channels[index]?.kind === 'group') return;
  const before = sightOf(world);
  const subjectKnew = model.channels.length > 0 && model.isThere(command.who, index);
  const answer = await perform(world, command);
  const status = model.apply(command);
  expect({ command, status: answer.status }).toEqual({ command, status });
  const made = answer.body.channel ?? answer.body.conversation?.channel;
  if (status === 201 && made) channelIds.push(made.id);
  const after = sightOf(world);

  const told = await collect();
  for (const [who, own] of told.entries()) {
    for (const events of own) {
      const hears = (where: number) =>
        before.get(where)?.has(who) === true || after.get(where)?.has(who) === true;
      const stranger = (event: Told) => {
        const place = placeOf(world, event);
        if (place === undefined || hears(place)) return false;
        // Who is banned hears of another restriction, since they know that the channel is there.
        return !(who === command.who && isAboutOneself(event) && subjectKnew);
      };
      expect({ command, who, leaked: events.filter(stranger) }).toEqual({ command, who, leaked: [] });
      expectMessages(
        command,
        who,
        events,
        status === 201 && !made && after.get(index)!.has(who) ? answer : undefined,
      );
      expectTransitions(world, command, who, events, before, after);
    }
  }
}

const isAboutOneself = ({ event }: Told) =>
  event === 'channel:restricted' || event === 'notification:created';

/** The channel that an event is about, by its index, or -1 for the group; undefined if it is about neither. */
function placeOf({ channelIds, groupId }: World, { payload }: Told): number | undefined {
  const about = payload.notification ?? payload.message ?? payload.read ?? payload;
  const channelId: unknown = about.channelId ?? payload.channel?.id;
  if (typeof channelId === 'string') {
    const index = channelIds.indexOf(channelId);
    if (index < 0) throw new Error(`Nobody has made the channel ${channelId}.`);
    return index;
  }
  return (about.groupId ?? payload.group?.id) === groupId ? -1 : undefined;
}

/** One message where one was sent that they may read, and none else. */
function expectMessages(command: Command, who: number, events: Told[], sent: Answer | undefined): void {
  const heard = events.filter(({ event }) => event.startsWith('message:'));
  const wanted = sent ? [{ event: 'message:created', id: sent.body.message.id }] : [];
  const messages = heard.map(({ event, payload }) => ({ event, id: payload.message.id }));
  expect({ command, who, messages }).toEqual({ command, who, messages: wanted });
}

/** Who may read a channel from now on, or no longer, is told so once. */
function expectTransitions(
  { channelIds, groupId }: World,
  command: Command,
  who: number,
  events: Told[],
  before: Sight,
  after: Sight,
): void {
  const count = (change: 'added' | 'removed', id: string) =>
    events.filter(
      ({ event, payload }) =>
        (event === `channel:${change}` && (payload.channel?.id ?? payload.channelId) === id) ||
        (event === `group:${change}` && (payload.group?.id ?? payload.groupId) === groupId),
    ).length;
  for (const [index, id] of channelIds.entries()) {
    const [read, reads] = [before.get(index)?.has(who) === true, after.get(index)!.has(who)];
    const told = { added: count('added', id), removed: count('removed', id) };
    if (read && !reads)
      expect({ command, who, told }).toEqual({ command, who, told: { added: 0, removed: 1 } });
    if (!read && reads)
      expect({ command, who, told }).toEqual({ command, who, told: { added: 1, removed: 0 } });
  }
}

const anyCommand: fc.Arbitrary<Command> = fc
  .record({
    act: fc.oneof(
      { arbitrary: fc.constant('send' as const), weight: 1 },
      { arbitrary: fc.constantFrom(...ACTS), weight: 2 },
    ),
    who: fc.nat({ max: PEOPLE - 1 }),
    where: fc.nat({ max: 5 }),
    flag: fc.boolean(),
  })
  // What takes a role is done to somebody else than the owner.
  .map((command) =>
    OF_ANYBODY.has(command.act) ? command : { ...command, who: (command.who % (PEOPLE - 1)) + 1 },
  );
const OF_ANYBODY = new Set<Command['act']>(['send', 'quit', 'talk', 'invite', 'create', 'rename']);

test(
  'whatever happens to groups and channels, everybody hears what they may hear, and nothing else',
  async () => {
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(fc.array(anyCommand, { minLength: 15, maxLength: 25 }), async (commands) => {
          const world = await createWorld();
          for (const command of commands) await step(world, command);
        }),
        // Each step costs a call and an answer of every device: a smaller example is not worth the time that it takes.
        { seed: SEED + round, numRuns: 4, endOnFailure: true },
      );
    }
  },
  PATIENCE * 2,
);
