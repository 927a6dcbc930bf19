import { fork, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import type { Profiler } from 'node:inspector';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LoadChannel } from './load-generator';
import type { Person } from './people';

const ROOT = join(__dirname, '..', '..');

/** How long a server may take to shut down. */
const SHUTDOWN_TIMEOUT_MS = 12_000;

/** The resource usage of a process since its start. */
export interface Usage {
  cpu: ProcessorTime;
  /** The memory of its main thread after a garbage collection, in bytes. */
  memory: number;
}

/** Milliseconds of processor time. Those of single threads are undefined where the system does not report them. */
export interface ProcessorTime {
  /** All threads together. */
  all: number;
  main: number | undefined;
  /** The thread of the embedded store; undefined also for the bare server. */
  store: number | undefined;
}

/** Processor profiles of the threads of a server. The bare server has the main thread only. */
export interface Profiles {
  main: Profiler.Profile;
  store?: Profiler.Profile;
}

/** What Parley has counted since its start. */
export interface Counters {
  /** Commands that were sent to the database: round trips. */
  commands: number;
  /** Batches of sends, and the sends in them. */
  batches: number;
  sends: number;
  /** The sum of the numbers of channels of all batches; undefined where every batch is of one channel. */
  channels?: number;
  /** Transactions of messages that were repeated because of a conflict. */
  retries: number;
}

/** A measured server in a process of its own. */
export class Target {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
    readonly name: 'bare' | 'parley',
  ) {}

  /** Starts the bare Socket.IO server. */
  static async bare(): Promise<Target> {
    const child = fork(join(__dirname, 'bare-server.mjs'), { execArgv: LAUNCH, stdio: STDIO, cwd: ROOT });
    return new Target(child, await listening(child), 'bare');
  }

  /**
   * Starts the built Parley on the embedded store in a folder.
   * @param settings further settings, as in `.env`.
   */
  static async parley(dataDir: string, settings: Record<string, string> = {}): Promise<Target> {
    const child = fork(join(__dirname, 'parley-server.mjs'), {
      // Not in the folder of the project, whose `.env` must not change what is measured.
      cwd: dataDir,
      execArgv: LAUNCH,
      stdio: STDIO,
      env: {
        PATH: process.env['PATH'],
        PORT: '0',
        DATA_DIR: dataDir,
        UPLOAD_DIR: join(dataDir, 'uploads'),
        BCRYPT_COST: '4',
        LOG_LEVEL: 'error',
        // One address stands for a thousand users here.
        THROTTLE_ENABLED: 'false',
        SOCKET_EVENTS_PER_SECOND: '100000',
        PEERJS_ENABLED: 'false',
        // A connection ends with its access token.
        ACCESS_TOKEN_SECONDS: '86400',
        ...settings,
      },
    });
    return new Target(child, await listening(child), 'parley');
  }

  /**
   * Returns what a person sends at the handshake of a connection: the access token, and to the bare server, which does
   * not know who is where, the channels.
   * @param index of the person in the members of the channels.
   */
  handshakeOf({ token }: Person, index: number, channels: readonly LoadChannel[]): object {
    if (this.name === 'parley') return { token };
    return { channels: channels.filter(({ members }) => members.includes(index)).map(({ id }) => id) };
  }

  usage(): Promise<Usage> {
    return this.ask<Usage>('usage');
  }

  /** Returns the counters of Parley; undefined for the bare server. */
  async counters(): Promise<Counters | undefined> {
    return this.name === 'parley' ? this.ask<Counters>('counters') : undefined;
  }

  /** Starts a profile of each thread. */
  async startProfiles(): Promise<void> {
    await this.ask('start profiles');
  }

  /** Ends the profiles. @returns them by the part of the server. */
  stopProfiles(): Promise<Profiles> {
    return this.ask<Profiles>('stop profiles');
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const force = setTimeout(() => this.child.kill('SIGKILL'), SHUTDOWN_TIMEOUT_MS);
    await exited;
    clearTimeout(force);
  }

  /** @throws Error if the server has ended */
  private async ask<Answer>(question: string): Promise<Answer> {
    const waiting = new AbortController();
    const { signal } = waiting;
    const ended = once(this.child, 'exit', { signal }).then(([code]) => {
      throw new Error(`The server ended with ${code}.`);
    });
    try {
      const answer = once(this.child, 'message', { signal }) as Promise<[Answer]>;
      this.child.send(question);
      const [first] = await Promise.race([answer, ended]);
      return first;
    } finally {
      ended.catch(() => undefined);
      waiting.abort();
    }
  }
}

const STDIO: StdioOptions = ['ignore', 'pipe', 'inherit', 'ipc'];

/** Without ts-node, which loads `repl` and with it `domain`, and so slows down every event of Node.js. */
const LAUNCH = [
  '--expose-gc',
  // As `npm start` has it.
  '--max-semi-space-size=32',
  ...['report-usage.mjs', 'report-profiles.mjs'].flatMap((file) => ['--import', join(__dirname, file)]),
];

/** Resolves to the URL at which a server reports that it listens. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`A server ended with ${code} before it listened.`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const url = /http:\/\/[\w.]+:\d+/.exec(line)?.[0];
      if (url) resolve(url);
    });
  });
}
