import { SingleBar } from 'cli-progress';
import { parseArgs } from 'node:util';
import { DatabaseSeeder, SEED_PASSWORD } from '../services/database.seeder';
import { runScript } from './run-script';

const HELP = `Fills an empty database with sample data.

  npm run seed -- [--size small|medium|large] [--users 20] [--messages 4000] [--seed 1]

The same seed gives the same users, groups, channels and texts. With 8 users or more, one group shows every feature
of groups, channels and moderation.`;

/** The numbers of users and messages by size. */
const SIZES = {
  small: { users: '8', messages: '400' },
  medium: { users: '20', messages: '4000' },
  large: { users: '100', messages: '40000' },
} as const;

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: 'medium' },
    users: { type: 'string' },
    messages: { type: 'string' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  void runScript(async ({ database, services }) => {
    const size = sizeNamed(values.size);
    const plan = {
      users: wholeNumber('users', values.users ?? size.users),
      messages: wholeNumber('messages', values.messages ?? size.messages),
      seed: wholeNumber('seed', values.seed),
    };
    const bar = new SingleBar({
      format: 'Seeding {bar} {percentage}% | {value}/{total}',
      clearOnComplete: true,
    });
    await services.storage.start();
    await services.uploadFolder.start();
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
          `Log in as "${summary.firstUsername}" (super admin) or any other user with "${SEED_PASSWORD}".`,
      );
    } finally {
      bar.stop();
    }
  });
}

function sizeNamed(name: string): { users: string; messages: string } {
  if (Object.hasOwn(SIZES, name)) return SIZES[name as keyof typeof SIZES];
  throw new Error(`--size must be one of ${Object.keys(SIZES).join(', ')}, not ${name}.`);
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} requires a whole number, not ${text}.`);
  return Number(text);
}
