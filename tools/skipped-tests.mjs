/**
 * Fails if a test ran in none of several test runs, and prints its name.
 *
 *   node tools/skipped-tests.mjs RESULTS…    files that `jest --json --outputFile=RESULTS` wrote
 */
import { readFileSync } from 'node:fs';

/** Whether each test has run, by its file and name. */
const hasRun = new Map();
for (const path of process.argv.slice(2)) {
  for (const { name: file, assertionResults } of JSON.parse(readFileSync(path, 'utf8')).testResults) {
    for (const { fullName, status } of assertionResults) {
      const test = `${file}: ${fullName}`;
      hasRun.set(test, hasRun.get(test) === true || status === 'passed' || status === 'failed');
    }
  }
}

const skipped = [...hasRun.keys()].filter((test) => !hasRun.get(test));
console.log(`${hasRun.size} tests, ${skipped.length} skipped`);
for (const test of skipped) console.error(`Skipped: ${test}`);
if (skipped.length > 0 || hasRun.size === 0) process.exitCode = 1;
