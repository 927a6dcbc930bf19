import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { registerInput } from '../models/user.model';
import { parseInput } from '../utils/validation';
import { runScript } from './run-script';

const HELP = `Creates a super admin account.

  npm run create-admin -- --username ada --email ada@example.org

The password is the first line of standard input.`;

const { values } = parseArgs({
  options: {
    username: { type: 'string' },
    email: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(HELP);
} else {
  void runScript(async ({ services }) => {
    const { username, email } = values;
    if (!username || !email) throw new Error('--username and --email are required; see --help.');
    const input = parseInput(registerInput, { username, email, password: await readPassword() });
    const user = await services.auth.createAccount(input, { address: 'console' }, 'super_admin');
    await services.audit.record({
      action: 'user.role_changed',
      actorId: null,
      targetId: user._id,
      address: 'console',
      details: { role: user.role },
    });
    console.log(`${user.username} is a super admin.`);
  });
}

async function readPassword(): Promise<string> {
  if (process.stdin.isTTY) process.stdout.write('Password (it shows as you type): ');
  for await (const line of createInterface({ input: process.stdin })) return line;
  throw new Error('The password is missing on standard input.');
}
