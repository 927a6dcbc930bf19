import { parseArgs } from 'node:util';
import { loadConfig } from '../config/env.config';
import { prepareDatabase, rehearseMigrations } from '../db/migrations/runner';
import { describeStatus, migrationStatus } from '../db/migrations/status';
import { connectDatabase } from '../db/mongodb';
import { requireNoUnfinishedRestore } from '../db/restore-marker';
import { createLogger } from '../utils/logger';

const HELP = `Migrates the data of an older version to the form of this one. The server does the same when it starts.

  npm run migrate
  npm run migrate -- --dry-run   reports what would change, and changes nothing
  npm run migrate -- --status    reports which migrations were run, when and by which version, which are pending, whether
                                 one is running, and which nodes there are; changes nothing

If a migration requires that no node of an older version runs, it waits for the last one to end.
The embedded store belongs to one process at a time: stop the server first.`;

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    status: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const config = loadConfig();
  const connection = await connectDatabase({ ...config.database, dataDir: config.dataDir });
  const { db, store } = connection;
  try {
    await requireNoUnfinishedRestore(db);
    if (values.status) {
      for (const line of describeStatus(await migrationStatus(db), Date.now())) console.log(line);
      return;
    }
    if (values['dry-run']) {
      const rehearsed = await rehearseMigrations(db, createLogger('warn'));
      for (const { number, name, counts } of rehearsed) {
        const parts = Object.entries(counts).map(([what, count]) => `${what} ${count}`);
        console.log(`Migration ${number} (${name}) would change: ${parts.join(', ')}.`);
      }
      console.log(rehearsed.length === 0 ? 'There is nothing to migrate.' : 'Nothing was changed.');
      return;
    }
    const { pending } = await migrationStatus(db);
    // The progress of long migrations is logged, too.
    await prepareDatabase(db, createLogger('info'), { isOnlyProcess: store !== undefined });
    const after = await migrationStatus(db);
    for (const { number, name } of pending) {
      if (after.pending.some((each) => each.number === number)) {
        console.log(`Migration ${number} (${name}) will run when the last older node has ended.`);
      } else {
        console.log(`Migration ${number} (${name}) is done.`);
      }
    }
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
