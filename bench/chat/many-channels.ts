import { cp } from 'node:fs/promises';
import { copyChannel, createTemplate, type Template } from './channel-copies';
import type { LoadChannel } from './load-generator';
import { Crowd, warmUpOf, type Measured } from './measure';
import { createRoom, type Person } from './people';
import { Target } from './target';
import { inTemporaryFolder } from './temporary-folder';

/** Many channels in which people send at the same time. */
export interface Scenario {
  channels: number;
  /** The members of each channel. */
  members: number;
  /** How many of them send. */
  senders: number;
  /** Whether the channels are conversations of two people instead of private channels of a group. */
  direct: boolean;
}

/** The measurements of both servers in a scenario. */
export interface ScenarioFigures {
  scenario: Scenario;
  /** The connected people. */
  people: number;
  loads: LoadFigures[];
}

/** A load with its measurements, one per round. */
export interface LoadFigures {
  load: string;
  bare: Measured[];
  parley: Measured[];
}

/** How long and how often each load is measured. */
export interface Effort {
  seconds: number;
  rounds: number;
}

/** The most people, and so connections, of a scenario. */
const MAX_PEOPLE = 1000;
/** The concurrent sends of each sender in each channel. The last of them counts as saturation. */
const WINDOWS = [1, 4] as const;

const FORM = /^(\d+)x(\d+|direct)(?:x(\d+))?$/;

/**
 * Reads a scenario: `50x5` for 50 channels of 5 members, `50x5x2` if two of them send, and `1000xdirect` for 1,000
 * conversations of two.
 * @throws Error if it has another form, or more senders than members
 */
export function parseScenario(text: string): Scenario {
  const [, channels, members, senders = '1'] = FORM.exec(text) ?? [];
  const direct = members === 'direct';
  const scenario = {
    channels: Number(channels),
    members: direct ? 2 : Number(members),
    senders: Number(senders),
    direct,
  };
  const possible = scenario.channels > 0 && scenario.senders > 0 && scenario.senders <= scenario.members;
  if (!possible || scenario.members > MAX_PEOPLE) {
    throw new Error(
      `There is no scenario "${text}": it must be like 50x5, 50x5x2 (two senders) or 50xdirect.`,
    );
  }
  return scenario;
}

/**
 * Measures both servers in scenarios, in turns: closed loops first, then an open loop at half of the saturation.
 * @param progress receives each scenario before it is measured, and its figures afterwards.
 */
export async function measureScenarios(
  scenarios: readonly Scenario[],
  effort: Effort,
  progress: { begun(scenario: Scenario): void; measured(figures: ScenarioFigures): void },
): Promise<ScenarioFigures[]> {
  if (scenarios.length === 0) return [];
  return inTemporaryFolder(async (original) => {
    const base = await createBase(original, Math.max(...scenarios.map(peopleOf)));
    const figures: ScenarioFigures[] = [];
    for (const scenario of scenarios) {
      progress.begun(scenario);
      const own = await measureScenario(scenario, base, effort);
      progress.measured(own);
      figures.push(own);
    }
    return figures;
  });
}

/** The users of all scenarios, with the channels to copy, in the folder of a stopped server. */
interface Base {
  folder: string;
  people: Person[];
  privateChannel: Template;
  conversation: Template;
}

async function createBase(folder: string, size: number): Promise<Base> {
  const server = await Target.parley(folder);
  try {
    const room = await createRoom(server.url, size);
    return {
      folder,
      people: room.people,
      privateChannel: await createTemplate(server.url, room, false),
      conversation: await createTemplate(server.url, room, true),
    };
  } finally {
    await server.stop();
  }
}

function measureScenario(scenario: Scenario, base: Base, effort: Effort): Promise<ScenarioFigures> {
  return withCrowds(scenario, base, effort, async (crowds, people) => {
    const closed = await inTurns(
      crowds,
      WINDOWS.map((window) => ({ load: `${window} in flight`, window })),
      effort,
    );
    const rate = halfOfSaturation(closed.at(-1)!);
    const open = await inTurns(crowds, [{ load: `at ${rate}/s`, window: 0, rate }], effort);
    return { scenario, people, loads: [...closed, ...open] };
  });
}

/**
 * Runs work with the people of one scenario connected to both servers, which are warm.
 * @param effort of the warm-up.
 */
export async function inScenario<Result>(
  scenario: Scenario,
  effort: Effort,
  work: (crowds: Crowds) => Promise<Result>,
): Promise<Result> {
  return inTemporaryFolder(async (original) =>
    withCrowds(scenario, await createBase(original, peopleOf(scenario)), effort, work),
  );
}

function withCrowds<Result>(
  scenario: Scenario,
  base: Base,
  effort: Effort,
  work: (crowds: Crowds, people: number) => Promise<Result>,
): Promise<Result> {
  return inTemporaryFolder(async (dataDir) => {
    await cp(base.folder, dataDir, { recursive: true });
    const people = base.people.slice(0, peopleOf(scenario));
    const channels = await createChannels(dataDir, scenario, base, people);
    return withServers(dataDir, people, channels, async (crowds) => {
      for (const crowd of Object.values(crowds)) {
        await crowd.run({ window: WINDOWS.at(-1)!, seconds: warmUpOf(effort.seconds) });
      }
      return work(crowds, people.length);
    });
  });
}

async function createChannels(
  dataDir: string,
  scenario: Scenario,
  base: Base,
  people: Person[],
): Promise<LoadChannel[]> {
  const memberships = Array.from({ length: scenario.channels }, (_, index) =>
    membersOf(index, scenario, people.length),
  );
  const ids = await copyChannel(
    dataDir,
    scenario.direct ? base.conversation : base.privateChannel,
    memberships.map((members) => members.map((index) => people[index]!.id)),
  );
  return memberships.map((members, index) => ({
    id: ids[index]!,
    members,
    senders: members.slice(0, scenario.senders),
  }));
}

/** Returns the number of people: everybody is in at least two channels. */
function peopleOf({ channels, members }: Scenario): number {
  return Math.max(3, members, Math.min(MAX_PEOPLE, Math.ceil((channels * members) / 2)));
}

/** Returns the members of a channel, as indices of people. Channels overlap, and no two pairs of people are equal. */
function membersOf(index: number, { members, direct }: Scenario, people: number): number[] {
  if (direct) return [index % people, (index + 1 + Math.floor(index / people)) % people];
  return Array.from({ length: members }, (_, member) => (index * (members - 1) + member) % people);
}

export type Crowds = Record<'bare' | 'parley', Crowd>;

/** Runs work with the same people connected to both servers. */
async function withServers<Result>(
  dataDir: string,
  people: Person[],
  channels: LoadChannel[],
  work: (crowds: Crowds) => Promise<Result>,
): Promise<Result> {
  const open: { close: () => Promise<void> }[] = [];
  const connect = async (starting: Promise<Target>): Promise<Crowd> => {
    const target = await starting;
    open.push({ close: () => target.stop() });
    const crowd = await Crowd.connect(target, people, channels);
    open.push({ close: () => crowd.disconnect() });
    return crowd;
  };
  try {
    return await work({
      bare: await connect(Target.bare()),
      parley: await connect(Target.parley(dataDir)),
    });
  } finally {
    for (const each of open.reverse()) await each.close();
  }
}

/** Runs loads in rounds: each load on both servers, one right after the other. */
async function inTurns(
  crowds: Crowds,
  loads: { load: string; window: number; rate?: number }[],
  { seconds, rounds }: Effort,
): Promise<LoadFigures[]> {
  const figures = loads.map(({ load }): LoadFigures => ({ load, bare: [], parley: [] }));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { load: _, ...load }] of loads.entries()) {
      for (const name of ['bare', 'parley'] as const) {
        figures[index]![name].push(await crowds[name].run({ ...load, seconds }));
      }
    }
  }
  return figures;
}

/** Returns half of the throughput of the slower server, in messages per second. */
function halfOfSaturation({ bare, parley }: LoadFigures): number {
  const [one, other] = [bare, parley].map((rounds) =>
    median(rounds.map(({ messagesPerSecond }) => messagesPerSecond)),
  );
  return Math.max(1, Math.floor(Math.min(one!, other!) / 2));
}

/** Returns the middle one of values; of an even number of them, the upper one of the two. */
export function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? NaN;
}
