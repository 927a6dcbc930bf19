import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Connected, ConnectPlan, Load, LoadChannel, LoadResult } from './load-generator';
import type { Person } from './people';
import type { Counters, ProcessorTime, Profiles, Target } from './target';

/** The results of a load, with its cost for the server. */
export interface Measured extends LoadResult {
  /** The processor time of the server during the load, in milliseconds. */
  cpu: ProcessorTime;
  /** What Parley has counted during the load. */
  counters?: Counters;
}

const GENERATOR = join(__dirname, 'load-generator.ts');
const OPTIONS = { execArgv: ['--require', 'ts-node/register/transpile-only'] };

/**
 * Returns how many seconds of load come before a measurement. For the first seconds of load, the JavaScript compiler takes up to
 * a third of the processor time, which a server that runs for days does not spend.
 * @param seconds the duration of the measurement.
 */
export function warmUpOf(seconds: number): number {
  return Math.min(10, 2 * seconds);
}

/** People who are connected to a server, from a process of their own. */
export class Crowd {
  private constructor(
    private readonly target: Target,
    private readonly generator: ChildProcess,
  ) {}

  /** Connects people. @param channels in which they send and receive; their indices are those of `people`. */
  static async connect(target: Target, people: readonly Person[], channels: LoadChannel[]): Promise<Crowd> {
    const crowd = new Crowd(target, fork(GENERATOR, OPTIONS));
    const handshakes = people.map((person, index) => target.handshakeOf(person, index, channels));
    try {
      await crowd.ask<Connected>({ url: target.url, handshakes, channels } satisfies ConnectPlan);
      return crowd;
    } catch (error) {
      await crowd.disconnect();
      throw error;
    }
  }

  /** Runs a load. @throws Error if a send fails or a delivery is missing */
  async run(load: Load): Promise<Measured> {
    const [before, counted] = [await this.target.usage(), await this.target.counters()];
    const result = await this.ask<LoadResult>(load);
    const [after, counters] = [await this.target.usage(), await this.target.counters()];
    const cpu = {
      all: after.cpu.all - before.cpu.all,
      main: difference(after.cpu.main, before.cpu.main),
      store: difference(after.cpu.store, before.cpu.store),
    };
    return { ...result, cpu, ...(counters && counted && { counters: since(counters, counted) }) };
  }

  /** Runs a load as `run` does, and profiles the server meanwhile. */
  async profile(load: Load): Promise<Measured & { profiles: Profiles }> {
    await this.target.startProfiles();
    const measured = await this.run(load);
    return { ...measured, profiles: await this.target.stopProfiles() };
  }

  async disconnect(): Promise<void> {
    if (this.generator.exitCode !== null || this.generator.signalCode !== null) return;
    const exited = once(this.generator, 'exit');
    this.generator.kill('SIGKILL');
    await exited;
  }

  private ask<Answer>(message: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`The load generator ended with ${code}.`));
      this.generator.once('exit', ended);
      this.generator.once('message', (answer) => {
        this.generator.off('exit', ended);
        resolve(answer as Answer);
      });
      this.generator.send(message);
    });
  }
}

/** Returns the memory of the server per idle connection, in bytes. */
export async function measureIdle(
  target: Target,
  people: readonly Person[],
  channels: LoadChannel[],
): Promise<number> {
  const before = await target.usage();
  const crowd = await Crowd.connect(target, people, channels);
  try {
    const { memory } = await target.usage();
    return (memory - before.memory) / people.length;
  } finally {
    await crowd.disconnect();
  }
}

function difference(after: number | undefined, before: number | undefined): number | undefined {
  return after === undefined || before === undefined ? undefined : after - before;
}

function since(after: Counters, before: Counters): Counters {
  const channels = difference(after.channels, before.channels ?? 0);
  return {
    commands: after.commands - before.commands,
    batches: after.batches - before.batches,
    sends: after.sends - before.sends,
    ...(channels !== undefined && { channels }),
  };
}
