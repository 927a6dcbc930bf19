import { parseArgs } from 'node:util';
import { examine } from './doctor/index';
import { asJson, asText, hasErrors } from './doctor/report';

const HELP = `Checks the configuration before the server is started, and changes nothing.

  npm run doctor
  npm run doctor -- --json   the same for programs

Run it as the user and in the folder in which the server runs. The exit status is 1 if there are errors (✗), and 0 if there
are only warnings (!) or none. What was not checked has a dash (–). docs/doctor.md describes the checks.`;

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  const results = await examine();
  const text = values.json ? asJson(results) : asText(results);
  // A library whose connection still hangs must not keep the process alive.
  process.stdout.write(`${text}\n`, () => process.exit(hasErrors(results) ? 1 : 0));
}

if (values.help) console.log(HELP);
else void main();
