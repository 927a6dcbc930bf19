import { fork, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(__dirname, '..', '..');

/** The resource usage of a process since its start, over all threads. */
export interface Usage {
  /** Milliseconds of processor time. */
  cpu: number;
  /** The memory of its main thread after a garbage collection, in bytes. */
  memory: number;
}

/** A measured server in a process of its own. */
export class Target {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts the bare Socket.IO server. */
  static async bare(): Promise<Target> {
    const child = fork(join(__dirname, 'bare-server.mjs'), { execArgv: LAUNCH, stdio: STDIO, cwd: ROOT });
    return new Target(child, await listening(child));
  }

  /** Starts the built Parley on the embedded store in a folder. */
  static async parley(dataDir: string): Promise<Target> {
    const child = fork(join(ROOT, 'dist', 'server.js'), {
      cwd: ROOT,
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
      },
    });
    return new Target(child, await listening(child));
  }

  async usage(): Promise<Usage> {
    const answer = once(this.child, 'message') as Promise<[Usage]>;
    this.child.send('usage');
    return (await answer)[0];
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }
}

const STDIO: StdioOptions = ['ignore', 'pipe', 'inherit', 'ipc'];

/** Without ts-node, which loads `repl` and with it `domain`, and so slows down every event of Node.js. */
const LAUNCH = ['--expose-gc', '--import', join(__dirname, 'report-usage.mjs')];

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
