/**
 * Checks the documentation against the code.
 *
 *   npm run check:docs    fails when a generated table is out of date, a page refers to something that does not exist,
 *                         or a decision has no title, status or date
 *   npm run docs:write    updates the generated tables
 */
import { parseArgs } from 'node:util';
import { checkReferences, generateDocs } from './docs';

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });

const problems = checkReferences();
for (const page of generateDocs(values.write)) {
  if (values.write) console.log(`${page} has been updated.`);
  else problems.push(`${page} is out of date: npm run docs:write`);
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
