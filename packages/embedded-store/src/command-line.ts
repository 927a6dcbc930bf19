import { parseArgs } from 'node:util';
import { serve } from './serve';

/**
 * Serves a store in this process until SIGTERM or SIGINT, on a TCP port of the loopback interface.
 * Prints the connection string once clients can connect. Ends the process with code 1 and one line on standard
 * error when the arguments are wrong or the store cannot be opened.
 * @param args `--port PORT` (default 27017; 0: any free port) and `--data FOLDER` (default `data`).
 */
export function runCommandLine(args: string[]): void {
  serveUntilSignal(args).catch((error: unknown) => {
    printError(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}

async function serveUntilSignal(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { port: { type: 'string', default: '27017' }, data: { type: 'string', default: 'data' } },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`--port ${values.port} is not a port`);
  // Only the user who runs this may read the data, even if the folder is open to others.
  process.umask(0o077);
  const onFailure = (error: Error) => {
    printError(error);
    process.exit(1);
  };
  const store = await serve({ dataDir: values.data, port, report: printError, onFailure });
  process.stdout.write(`${store.uri}\n`);
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    store.close().then(
      () => process.exit(0),
      (error: unknown) => {
        printError(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

function printError(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}

if (require.main === module) runCommandLine(process.argv.slice(2));
