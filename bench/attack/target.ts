import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** How long a server may take to shut down. */
const SHUTDOWN_TIMEOUT_MS = 12_000;

/** The attacked server, in a process of its own. */
export class Target {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Starts a server. @param dist the build; the working directory and the data are in `folder`. */
  static async start(dist: string, folder: string): Promise<Target> {
    const child = fork(join(__dirname, 'server.mjs'), [dist], {
      cwd: folder,
      env: {
        PATH: process.env['PATH'],
        PORT: '0',
        DATA_DIR: folder,
        LOG_LEVEL: 'silent',
        TRUST_PROXY: 'true',
      },
    });
    const failed = once(child, 'exit').then(([code]) => {
      throw new Error(`The server ended with ${code} before it listened.`);
    });
    const [url] = (await Promise.race([once(child, 'message'), failed])) as [string];
    failed.catch(() => undefined);
    return new Target(child, url);
  }

  /** Whether it is still running. */
  get isAlive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async stop(): Promise<void> {
    if (!this.isAlive) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    const force = setTimeout(() => this.child.kill('SIGKILL'), SHUTDOWN_TIMEOUT_MS);
    await exited;
    clearTimeout(force);
  }
}
