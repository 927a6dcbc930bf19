import fc from 'fast-check';
import { TIMEOUT_MS, rounds, SEED } from '../../../../tools/jest/budget';
import type { Answer } from '../../fixtures/api';
import { ACTIONS, type Command } from '../../fixtures/access-model';
import {
  AccessHarness,
  PEOPLE,
  channelIndexOf,
  type Readers,
  type World,
} from '../../fixtures/access-harness';
import type { ReceivedEvent } from '../../fixtures/sockets';

let harness: AccessHarness;

beforeAll(async () => {
  harness = await AccessHarness.create();
});
afterAll(() => harness.close());

/** Performs a command on the server and in the model, and compares the answer and all received events. */
async function step(world: World, command: Command): Promise<void> {
  const { model, channelIds } = world;
  // The owner remains in the channels of the group, because one user has to see everything.
  const index = model.channels.length > 0 ? model.channelAt(command.where) : 0;
  if (command.action === 'leaveChannel' && command.who === 0 && model.channels[index]?.kind === 'group')
    return;
  const before = harness.readersOf(world);
  // A public group is visible to everyone, so a banned user is informed.
  const subjectKnew =
    command.action === 'banFromGroup' ||
    (model.channels.length > 0 && model.readsUnlessBanned(command.who, index));
  const answer = await harness.perform(world, command);
  const status = model.apply(command);
  expect({ command, status: answer.status }).toEqual({ command, status });
  const made = answer.body.channel ?? answer.body.conversation?.channel;
  if (status === 201 && made) channelIds.push(made.id);
  const after = harness.readersOf(world);

  const received = await harness.collect();
  for (const [who, own] of received.entries()) {
    for (const events of own) {
      const receives = (where: number) =>
        before.get(where)?.has(who) === true || after.get(where)?.has(who) === true;
      const stranger = (event: ReceivedEvent) => {
        const place = channelIndexOf(world, event);
        if (place === undefined || receives(place)) return false;
        // A banned user receives further restrictions, because they know that the channel exists.
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

const isAboutOneself = ({ event }: ReceivedEvent) =>
  event === 'channel:restricted' || event === 'notification:created';

/** Checks that a device received the message if its user may read it, and no other message. */
function expectMessages(
  command: Command,
  who: number,
  events: ReceivedEvent[],
  sent: Answer | undefined,
): void {
  const received = events.filter(({ event }) => event.startsWith('message:'));
  const wanted = sent ? [{ event: 'message:created', id: sent.body.message.id }] : [];
  const messages = received.map(({ event, payload }) => ({ event, id: payload.message.id }));
  expect({ command, who, messages }).toEqual({ command, who, messages: wanted });
}

/** Checks that a change of access to a channel is sent exactly once. */
function expectTransitions(
  { channelIds, groupId }: World,
  command: Command,
  who: number,
  events: ReceivedEvent[],
  before: Readers,
  after: Readers,
): void {
  const count = (change: 'added' | 'removed', id: string) =>
    events.filter(
      ({ event, payload }) =>
        (event === `channel:${change}` && (payload.channel?.id ?? payload.channelId) === id) ||
        (event === `group:${change}` && (payload.group?.id ?? payload.groupId) === groupId),
    ).length;
  for (const [index, id] of channelIds.entries()) {
    const [read, reads] = [before.get(index)?.has(who) === true, after.get(index)!.has(who)];
    const received = { added: count('added', id), removed: count('removed', id) };
    if (read && !reads)
      expect({ command, who, told: received }).toEqual({ command, who, told: { added: 0, removed: 1 } });
    if (!read && reads)
      expect({ command, who, told: received }).toEqual({ command, who, told: { added: 1, removed: 0 } });
  }
}

const anyCommand: fc.Arbitrary<Command> = fc
  .record({
    action: fc.oneof(
      { arbitrary: fc.constant('send' as const), weight: 1 },
      { arbitrary: fc.constantFrom(...ACTIONS), weight: 2 },
    ),
    who: fc.nat({ max: PEOPLE - 1 }),
    where: fc.nat({ max: 5 }),
    flag: fc.boolean(),
  })
  // Actions that require a role are applied to users other than the owner.
  .map((command) =>
    OF_ANYBODY.has(command.action) ? command : { ...command, who: (command.who % (PEOPLE - 1)) + 1 },
  );
const OF_ANYBODY = new Set<Command['action']>([
  'send',
  'leaveChannel',
  'startConversation',
  'addToConversation',
  'create',
  'rename',
]);

/** Every action once, each followed by a message. */
const EVERYTHING: Command[] = ACTIONS.flatMap((action) => [
  { action: 'join', who: 2, where: 0, flag: false },
  { action, who: 2, where: 0, flag: false },
  { action: 'send', who: 0, where: 0, flag: true },
]);

test(
  'after any sequence of changes, all users receive exactly what they may read',
  async () => {
    for (const round of rounds(1)) {
      await fc.assert(
        fc.asyncProperty(fc.array(anyCommand, { minLength: 15, maxLength: 25 }), async (commands) => {
          const world = await harness.createWorld();
          await harness.collect();
          for (const command of [...harness.setup, ...commands]) await step(world, command);
        }),
        // Each step costs a call and a round trip of every device, so shrinking is not worth the time.
        { seed: SEED + round, numRuns: 5, endOnFailure: true, examples: [[EVERYTHING]] },
      );
    }
  },
  TIMEOUT_MS * 2,
);
