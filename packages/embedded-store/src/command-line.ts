import { parseArgs } from 'node:util';
import { serve } from './serve';

const MAX_LINGER_SECONDS = 3600;

/**
 * Serves a store in this process until SIGTERM or SIGINT, on a TCP port of the loopback interface.
 * Prints the connection string once clients can connect. Ends the process with code 1 and one line on standard
 * error when the arguments are wrong or the store cannot be opened.
 * @param args `--port PORT` (default 27017; 0: any free port), `--data FOLDER` (default `data`) and `--linger SECONDS`:
 *   how long it continues to serve after a signal while clients are connected (default 0). A second signal ends it at
 *   once.
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
    options: {
      port: { type: 'string', default: '27017' },
      data: { type: 'string', default: 'data' },
      linger: { type: 'string', default: '0' },
    },
  });
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new Error(`--port ${values.port} is not a port`);
  const lingerSeconds = Number(values.linger);
  if (!Number.isInteger(lingerSeconds) || lingerSeconds < 0 || lingerSeconds > MAX_LINGER_SECONDS)
    throw new Error(`--linger ${values.linger} is not a number of seconds from 0 to ${MAX_LINGER_SECONDS}`);
  // Only the user who runs this may read the data, even if the folder is open to others.
  process.umask(0o077);
  const onFailure = (error: Error) => {
    printError(error);
    process.exit(1);
  };
  const store = await serve({ dataDir: values.data, port, report: printError, onFailure });
  process.stdout.write(`${store.uri}\n`);
  let stopping = false;
  let lingering = false;
  const onSignal = () => {
    if (lingering || lingerSeconds === 0) return stop();
    lingering = true;
    setTimeout(stop, lingerSeconds * 1000);
    void store.unused().then(stop);
  };
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
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
}

function printError(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}

if (require.main === module) runCommandLine(process.argv.slice(2));
