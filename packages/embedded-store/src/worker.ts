import { parentPort, workerData } from 'node:worker_threads';
import { serve } from './serve';
import type { ServeOptions } from './serve';

/** The messages from the worker to the thread that started it. */
export type WorkerMessage =
  | { kind: 'ready'; uri: string }
  | { kind: 'failed'; message: string }
  | { kind: 'reported'; message: string }
  | { kind: 'closed' };

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function main(): Promise<void> {
  if (!parentPort) throw new Error('this file is the entry of a worker thread');
  const port = parentPort;
  const send = (message: WorkerMessage) => port.postMessage(message);
  const { dataDir, port: tcpPort, flush, lockToken } = workerData as ServeOptions;
  try {
    const report = (error: unknown) => send({ kind: 'reported', message: describe(error) });
    const onFailure = (error: Error) => {
      report(error);
      // The next start undoes what could not be made durable.
      process.exit(1);
    };
    const store = await serve({ dataDir, port: tcpPort, flush, lockToken, report, onFailure });
    port.once('message', () => {
      void store.close().then(() => {
        send({ kind: 'closed' });
        port.close();
      });
    });
    send({ kind: 'ready', uri: store.uri });
  } catch (error) {
    send({ kind: 'failed', message: error instanceof Error ? error.message : String(error) });
    port.close();
  }
}

void main();
