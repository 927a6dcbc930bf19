import { loadConfig } from '../config/env.config';
import { createContext, type Context } from '../context';

/**
 * Runs a script against the configured database and closes it again. Nothing runs in the background meanwhile: a server
 * may work on the same database. What goes wrong is one line on standard error and exit status 1.
 */
export async function runScript(work: (context: Context) => Promise<void>): Promise<void> {
  let context: Context | undefined;
  try {
    context = await createContext({ ...loadConfig(), logLevel: 'error' });
    await work(context);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  } finally {
    // What could not be closed is in the log.
    await context?.close().catch(() => (process.exitCode = 1));
  }
}
