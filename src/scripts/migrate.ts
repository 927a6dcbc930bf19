import { parseArgs } from 'node:util';
import { loadConfig } from '../config/env.config';
import { pendingMigrations, prepareDatabase, rehearseMigrations } from '../db/migrations/runner';
import { connectDatabase } from '../db/mongodb';
import { createLogger } from '../utils/logger';

const HELP = `Migrates the data of an older version to the form of this one. The server does the same when it starts.

  npm run migrate
  npm run migrate -- --dry-run   reports what would change, and changes nothing

The embedded store belongs to one process at a time: stop the server first.`;

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const config = loadConfig();
  const logger = createLogger('warn');
  const connection = await connectDatabase({ ...config.database, dataDir: config.dataDir });
  const { db } = connection;
  try {
    if (values['dry-run']) {
      const rehearsed = await rehearseMigrations(db, logger);
      for (const { number, name, counts } of rehearsed) {
        const parts = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
        console.log(`Migration ${number} (${name}) would change: ${parts.join(', ')}.`);
      }
      console.log(rehearsed.length === 0 ? 'There is nothing to migrate.' : 'Nothing was changed.');
      return;
    }
    const pending = await pendingMigrations(db);
    await prepareDatabase(db, logger);
    for (const { number, name } of pending) console.log(`Migration ${number} (${name}) is done.`);
    if (pending.length === 0) console.log('There is nothing to migrate.');
  } finally {
    await connection.close();
  }
}

if (values.help) {
  console.log(HELP);
} else {
  main().catch((error: unknown) => {
    console.error((error as Error).message);
    process.exitCode = 1;
  });
}
