import { createRequire } from 'node:module';
import { URL } from 'node:url';

/**
 * The measured server: the build in `dist`, with its settings in the environment. It reports the counters that concern
 * sending to the parent process (`Counters` in target.ts).
 */
const load = createRequire(new URL('../../dist/server.js', import.meta.url));
const { startServer } = load('./start-server.js');
const { loadConfig } = load('./config/env.config.js');
const { createContext } = load('./context.js');
const { METRICS } = load('./services/kernel/metrics.js');

const context = await createContext(loadConfig());
const server = await startServer(context);

process.on('message', async (message) => {
  if (message !== 'counters') return;
  const { telemetry } = context;
  const [commands] = await telemetry.seriesOf(METRICS.commands.name);
  const [batches] = await telemetry.histogram(METRICS.batchMessages).series();
  const [channels] = await telemetry.histogram(METRICS.batchChannels).series();
  const retries = await telemetry.seriesOf(METRICS.batchRetries.name);
  process.send?.({
    commands: commands?.value ?? 0,
    batches: batches?.count ?? 0,
    sends: batches?.sum ?? 0,
    channels: channels?.sum,
    // Of all reasons.
    retries: retries.reduce((sum, { value }) => sum + value, 0),
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
