import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** The built server in a process of its own. It can be killed and restarted with the same port and data. */
export class ServerProcess {
  private child: ChildProcess | undefined;
  private port = 0;

  constructor(private readonly dataDir: string) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Resolves when the server listens. */
  async start(): Promise<void> {
    this.port ||= await freePort();
    const child = spawn(process.execPath, [join(__dirname, '..', '..', 'dist', 'server.js')], {
      cwd: this.dataDir,
      env: {
        PATH: process.env['PATH'],
        PORT: String(this.port),
        DATA_DIR: this.dataDir,
        BCRYPT_COST: '4',
        LOG_LEVEL: 'error',
        // Two clients send as fast as they receive acknowledgements.
        SOCKET_EVENTS_PER_SECOND: '100000',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.child = child;
    await new Promise<void>((resolve, reject) => {
      child.once('exit', (code) => reject(new Error(`The server ended with ${code} before it listened.`)));
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.includes('is running')) resolve();
      });
    });
  }

  /** Kills the process with SIGKILL. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }
}

/** Returns a port that is currently free. */
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
