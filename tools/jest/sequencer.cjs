'use strict';
const { sep } = require('node:path');
const TestSequencer = require('@jest/test-sequencer').default;

/** The files that take much longer than the others, or wait for real time to pass, longest first. */
const LONG = [
  'access-table.test.ts',
  'process/start.test.ts',
  'writing/scheduled-messages.test.ts',
  'process/attachments.test.ts',
  'presence/presence.test.ts',
  'process/',
  'hostile-input.test.ts',
  'channel-readers-races.test.ts',
  'sockets/calls/',
  'sockets/nodes',
  'many-channels.test.ts',
  'access-locks.test.ts',
  'db/upgrade.test.ts',
  'db/rolling-upgrade.test.ts',
  'calls/calls.test.ts',
  'presence/typing.test.ts',
  'operations/health.test.ts',
  'operations/throttle.test.ts',
  'sockets/identity/auth.test.ts',
  'store-fuzz.test.ts',
  'golden.test.ts',
  'plans.test.ts',
  'group-commit.test.ts',
  'session-model.test.ts',
  'channel-settings.test.ts',
  'linear-time.test.ts',
  'group-counters.test.ts',
].map((part) => part.replace('/', sep));

/**
 * Starts long files first, because a long file that starts last would run alone at the end. Jest itself does this from
 * the second run on, when it knows the duration of each file.
 */
module.exports = class LongestFirst extends TestSequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    if (sorted.every(({ duration }) => duration !== undefined)) return sorted;
    const rank = ({ path }) => {
      const found = LONG.findIndex((part) => path.includes(part));
      return found < 0 ? LONG.length : found;
    };
    return sorted.toSorted((one, other) => rank(one) - rank(other));
  }
};
