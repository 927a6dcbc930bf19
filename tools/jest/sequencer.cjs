'use strict';
const { sep } = require('node:path');
const TestSequencer = require('@jest/test-sequencer').default;

/** The files that take much longer than the others, or wait for real time to pass, longest first. */
const LONG = [
  'access-table.test.ts',
  'process/start.test.ts',
  'hostile-input.test.ts',
  'process/attachments.test.ts',
  'writing/scheduled-messages.test.ts',
  'process/',
  'access-locks.test.ts',
  'presence/presence.test.ts',
  'sockets/calls/',
  'operations/health.test.ts',
  'store-fuzz.test.ts',
  'golden.test.ts',
  'plans.test.ts',
  'group-commit.test.ts',
  'session-model.test.ts',
  'channel-settings.test.ts',
  'linear-time.test.ts',
  'group-counters.test.ts',
  'throttle.test.ts',
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
