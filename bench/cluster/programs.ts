import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

const STORE = join(__dirname, '..', '..', 'dist', 'scripts', 'embedded-db.js');

/** The unit of processor time in /proc. It is 10 ms on all Linux systems in use. */
const TICK_MS = 10;

/** A program beside Parley: the store or Redis. */
export class Program {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  /** Serves the embedded store of a folder, as `npm run db` does. */
  static async store(folder: string): Promise<Program> {
    const child = spawn(process.execPath, [STORE, '--port', '0', '--data', folder], { stdio: STDIO });
    return new Program(child, (await outputOf(child, /mongodb:\S+/))[0]);
  }

  /** Starts a redis-server without persistence. @throws Error if it is not installed */
  static async redis(folder: string): Promise<Program> {
    const port = await freePort();
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder];
    const child = spawn('redis-server', options, { stdio: STDIO });
    await outputOf(child, /Ready to accept connections/);
    return new Program(child, `redis://127.0.0.1:${port}`);
  }

  /** The processor time of all its threads since its start, in milliseconds; undefined on systems other than Linux. */
  async processorTime(): Promise<number | undefined> {
    const text = await readFile(`/proc/${this.child.pid}/stat`, 'latin1').catch(() => undefined);
    // The fields after the name, which may contain spaces. User time is the 14th of all, system time the 15th.
    const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields && (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }
}

const STDIO = ['ignore', 'pipe', 'inherit'] as ['ignore', 'pipe', 'inherit'];

function outputOf(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`A program ended with ${code}: ${text}`)));
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-10_000);
      const found = pattern.exec(text);
      if (found) resolve(found);
    });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
