import { loadConfig } from '../config/env.config';
import { createContext, type Context } from '../context';

/**
 * Runs a script on the configured database and closes it again. No background work runs, so a server may use the same
 * database. An error is one line on standard error and exit status 1.
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
    // The log has the failures, by part.
    await context?.close().catch(() => (process.exitCode = 1));
  }
}
