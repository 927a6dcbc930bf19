import { fork } from 'node:child_process';
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

/** A process that holds connections and sends. */
export class LoadGenerator {
  private readonly process = fork(GENERATOR, OPTIONS);

  /** Opens the connections of a plan. */
  static async connect(plan: ConnectPlan): Promise<LoadGenerator> {
    const generator = new LoadGenerator();
    try {
      await generator.ask<Connected>(plan);
      return generator;
    } catch (error) {
      await generator.end();
      throw error;
    }
  }

  /** Runs a load. @throws Error if a send fails or a delivery is missing */
  run(load: Load): Promise<LoadResult> {
    return this.ask<LoadResult>(load);
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await exited;
  }

  private ask<Answer>(message: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`The load generator ended with ${code}.`));
      this.process.once('exit', ended);
      this.process.once('message', (answer) => {
        this.process.off('exit', ended);
        resolve(answer as Answer);
      });
      this.process.send(message);
    });
  }
}

/** People who are connected to a server, from a process of their own. */
export class Crowd {
  private constructor(
    private readonly target: Target,
    private readonly generator: LoadGenerator,
  ) {}

  /** Connects people. @param channels in which they send and receive; their indices are those of `people`. */
  static async connect(target: Target, people: readonly Person[], channels: LoadChannel[]): Promise<Crowd> {
    const handshakes = people.map((person, index) => target.handshakeOf(person, index, channels));
    return new Crowd(target, await LoadGenerator.connect({ urls: [target.url], handshakes, channels }));
  }

  /** Runs a load. @throws Error if a send fails or a delivery is missing */
  async run(load: Load): Promise<Measured> {
    const [before, counted] = [await this.target.usage(), await this.target.counters()];
    const result = await this.generator.run(load);
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

  disconnect(): Promise<void> {
    return this.generator.end();
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
    retries: after.retries - before.retries,
    ...(channels !== undefined && { channels }),
  };
}
