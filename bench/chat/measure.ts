import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Connected, LoadPlan, LoadResult } from './load-generator';
import type { Room } from './people';
import type { Target } from './target';

/** The results of a load, with its cost for the server. */
export interface Measured extends LoadResult {
  /** The processor time of the server in milliseconds per second. */
  cpu: number;
}

const GENERATOR = join(__dirname, 'load-generator.ts');
const OPTIONS = { execArgv: ['--require', 'ts-node/register/transpile-only'] };

/** Runs a load against a server, from a process of its own. */
export async function measureLoad(
  target: Target,
  room: Room,
  load: Pick<LoadPlan, 'senders' | 'window' | 'rate' | 'seconds'>,
): Promise<Measured> {
  const generator = fork(GENERATOR, OPTIONS);
  generator.send({ kind: 'load', plan: { url: target.url, ...room, ...load } });
  await nextMessage<Connected>(generator);
  const before = await target.usage();
  generator.send('go');
  const result = await nextMessage<LoadResult>(generator);
  const { cpu } = await target.usage();
  return { ...result, cpu: (cpu - before.cpu) / result.seconds };
}

/** Returns the memory of the server per idle connection, in bytes. */
export async function measureIdle(target: Target, room: Room): Promise<number> {
  const before = await target.usage();
  const generator = fork(GENERATOR, OPTIONS);
  generator.send({ kind: 'idle', plan: { url: target.url, ...room, senders: 0, window: 0, seconds: 0 } });
  const { connected } = await nextMessage<Connected>(generator);
  const { memory } = await target.usage();
  const exited = once(generator, 'exit');
  generator.send('done');
  await exited;
  return (memory - before.memory) / connected;
}

function nextMessage<Message>(child: ReturnType<typeof fork>): Promise<Message> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as Message));
    child.once('exit', (code) => {
      if (code !== 0) reject(new Error(`The load generator ended with ${code}.`));
    });
  });
}
