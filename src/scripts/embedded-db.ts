import { runCommandLine } from '@parley/embedded-store/command-line';

/** `npm run db -- --port 27017 --data DIR`: serves the embedded store as a process of its own. */
runCommandLine(process.argv.slice(2));
