import { SingleBar } from 'cli-progress';
import { parseArgs } from 'node:util';
import { DatabaseSeeder, SEED_PASSWORD } from '../services/database.seeder';
import { runScript } from './run-script';

const HELP = `Fills an empty database with sample data.

  npm run seed -- [--users 20] [--messages 4000] [--seed 1]

The same seed gives the same people, groups, channels and texts.`;

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '20' },
    messages: { type: 'string', default: '4000' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  void runScript(async ({ database, services }) => {
    const plan = {
      users: wholeNumber('users', values.users),
      messages: wholeNumber('messages', values.messages),
      seed: wholeNumber('seed', values.seed),
    };
    const bar = new SingleBar({
      format: 'Seeding {bar} {percentage}% | {value}/{total}',
      clearOnComplete: true,
    });
    const seeder = new DatabaseSeeder(database.collections, services);
    try {
      let started = false;
      const summary = await seeder.seed(plan, (done, all) => {
        if (!started) bar.start(all, 0);
        started = true;
        bar.update(done);
      });
      bar.stop();
      console.log(
        `${summary.users} users, ${summary.groups} groups, ${summary.channels} channels, ` +
          `${summary.messages} messages.\n` +
          `Log in as "${summary.firstUsername}" (super admin) or anybody else with "${SEED_PASSWORD}".`,
      );
    } finally {
      bar.stop();
    }
  });
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} takes a whole number, not ${text}.`);
  return Number(text);
}
