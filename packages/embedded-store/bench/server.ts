import { spawn } from 'node:child_process';
import { join } from 'node:path';

/** A store in a process of its own. */
export interface Server {
  uri: string;
  pid: number;
  /** Milliseconds until it said that it is ready. */
  openMs: number;
  stop(): Promise<void>;
}

/**
 * Starts the built store on `dataDir`.
 * @param script its `command-line.js`; that of this package by default
 */
export async function startServer(
  dataDir: string,
  script = join(__dirname, '../dist/command-line.js'),
): Promise<Server> {
  const begun = performance.now();
  const child = spawn(process.execPath, [script, '--port', '0', '--data', dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const uri = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
    child.once('exit', (code) => reject(new Error(`the store ended with ${code}`)));
  });
  return {
    uri,
    pid: child.pid ?? 0,
    openMs: performance.now() - begun,
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', () => resolve());
        child.kill('SIGTERM');
      }),
  };
}
