import { createRequire } from 'node:module';
import { URL } from 'node:url';

/**
 * The measured server: the build in `dist`, with its settings in the environment. It reports the counters that concern
 * sending to the parent process (`Counters` in target.ts).
 */
const load = createRequire(new URL('../../dist/server.js', import.meta.url));
const { startServer } = load('./server.js');
const { loadConfig } = load('./config/env.config.js');
const { createContext } = load('./context.js');

const context = await createContext(loadConfig());
const server = await startServer(context);

process.on('message', (message) => {
  if (message !== 'counters') return;
  const metrics = new Map(context.telemetry.collect().map(({ name, series }) => [name, series[0]]));
  const batches = metrics.get('message_batch_size');
  process.send?.({
    commands: metrics.get('database_commands_total')?.value ?? 0,
    batches: batches?.count ?? 0,
    sends: batches?.sum ?? 0,
    channels: metrics.get('message_batch_channels')?.sum,
  });
});
process.channel?.unref();

process.once('SIGTERM', async () => {
  try {
    await server.close();
    await context.close();
  } finally {
    process.exit();
  }
});

console.log(`listening on ${server.url}`);
