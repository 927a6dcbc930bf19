import { parseArgs } from 'node:util';
import { confirm } from './confirm';
import { runScript } from './run-script';

const HELP = `Deletes everything in the database (users, groups, channels and messages), and all uploaded files.

  npm run clear            asks for confirmation
  npm run clear -- --yes   does not ask

It refuses to run in production, unless --force is given.`;

const { values } = parseArgs({
  options: {
    yes: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  void runScript(async ({ config, database, services }) => {
    if (config.environment === 'production' && !values.force) {
      throw new Error('clear does not run in production (NODE_ENV=production) without --force.');
    }
    await services.uploadFolder.requireOwn();
    const where = `the database "${config.database.name}" in ${database.location} and in ${config.uploadDir}`;
    if (!values.yes && !(await confirm(`Delete everything in ${where}? Type yes: `))) {
      throw new Error('Nothing was deleted.');
    }
    await database.db.dropDatabase();
    await services.uploadCleanup.removeAll();
    await services.uploadFolder.release();
    console.log(`Deleted everything in ${where}.`);
  });
}
