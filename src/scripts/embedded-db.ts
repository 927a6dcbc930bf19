import { parseArgs } from 'node:util';
import { serve } from '../db/embedded/serve';

/**
 * Serves the embedded store on a port of the loopback interface, as a process of its own:
 * `npm run db -- --port 27017 --data DIR`. Prints the connection string when it is ready.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { port: { type: 'string', default: '27017' }, data: { type: 'string', default: 'data' } },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`--port ${values.port} is not a port`);
  // The data is for the user who runs this alone, also in a folder that others may read.
  process.umask(0o077);
  const store = await serve({ dataDir: values.data, port, report: (error) => console.error(error) });
  console.log(store.uri);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    store.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
});
