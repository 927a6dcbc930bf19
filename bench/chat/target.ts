import { fork, type ChildProcess, type StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = join(__dirname, '..', '..');

/** What a process has used since it began, all of its threads together. */
export interface Usage {
  /** Milliseconds of processor time. */
  cpu: number;
  /** Bytes that its main thread holds, behind a collection of garbage. */
  memory: number;
}

/** A server in a process of its own that is measured. */
export class Target {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Socket.IO that broadcasts, and nothing else. */
  static async bare(): Promise<Target> {
    const child = fork(join(__dirname, 'bare-server.mjs'), { execArgv: LAUNCH, stdio: STDIO, cwd: ROOT });
    return new Target(child, await listening(child));
  }

  /** Parley, built, on the embedded store in this folder. */
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
        // One machine stands for a thousand people here.
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

/** Without ts-node, which slows every event of Node.js down: it loads `repl`, and that `domain`. */
const LAUNCH = ['--expose-gc', '--import', join(__dirname, 'report-usage.mjs')];

/** Where a server says that it listens. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`A server ended with ${code} before it listened.`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const url = /http:\/\/[\w.]+:\d+/.exec(line)?.[0];
      if (url) resolve(url);
    });
  });
}
