import { readFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { getHeapStatistics } from 'node:v8';
import { satisfies } from 'semver';
import type { Check } from './check';

const GROUP = 'Machine';
const MB = 1024 * 1024;

/** Every connection of a client is an open file. */
const FEW_OPEN_FILES = 4096;
const TOO_FEW_OPEN_FILES = 512;
/** An idle process takes 175 MB, and about 250 MB under load (docs/performance.md). */
const LITTLE_MEMORY = 512 * MB;

/** Checks the machine on which the doctor runs, with the limits of its process. */
export const machineChecks: Check[] = [
  {
    group: GROUP,
    title: 'Node.js',
    settings: [],
    run: async (_config, report) => {
      const manifest = await readFile(join(__dirname, '..', '..', '..', 'package.json'), 'utf8');
      const { engines } = JSON.parse(manifest) as { engines: { node: string } };
      const { node } = process.versions;
      if (satisfies(node, engines.node)) report('ok', `Node.js ${node}`);
      else report('error', `Node.js ${node} is too old`, `Install a version ${engines.node}.`);
    },
  },
  {
    group: GROUP,
    title: 'Open files',
    settings: [],
    run: async (_config, report) => {
      const limits = await readFile('/proc/self/limits', 'utf8').catch(() => undefined);
      const [, soft] = /^Max open files\s+(\S+)/m.exec(limits ?? '') ?? [];
      if (soft === undefined) {
        report('skipped', 'Open files: this system does not tell its limit', 'Check it with ulimit -n.');
        return;
      }
      const limit = soft === 'unlimited' ? Infinity : Number(soft);
      const advice =
        'Every connection takes one. Raise the limit: ulimit -n, or LimitNOFILE in the systemd unit.';
      const message = `up to ${soft} open files`;
      if (limit < TOO_FEW_OPEN_FILES) report('error', message, advice);
      else if (limit < FEW_OPEN_FILES) report('warning', message, advice);
      else report('ok', message);
    },
  },
  {
    group: GROUP,
    title: 'Memory and processors',
    settings: ['MONGODB_URI'],
    run: ({ database }, report) => {
      // Undefined or enormous where nothing limits the process.
      const limit = Math.min(process.constrainedMemory() || Infinity, totalmem());
      const heap = getHeapStatistics().heap_size_limit;
      const message = `${Math.round(limit / MB)} MB of memory, of which Node.js uses ${Math.round(heap / MB)} MB for objects`;
      if (limit < LITTLE_MEMORY)
        report('warning', message, 'Give the process at least 512 MB; docs/performance.md has figures.');
      else if (heap > limit)
        report(
          'warning',
          message,
          'Set NODE_OPTIONS=--max-old-space-size to three quarters of the memory, in MB.',
        );
      else report('ok', message);
      const processors = availableParallelism();
      if (processors < 2 && database.uri === undefined)
        report(
          'warning',
          'one processor',
          'The embedded store has a thread of its own: two processors are better.',
        );
      else report('ok', `${processors} processors`);
    },
  },
];
