/**
 * Checks the documentation against what it describes.
 *
 *   npm run check:docs    fails when a generated table is out of date, or a page names what does not exist
 *   npm run docs:write    makes the generated tables anew
 */
import { parseArgs } from 'node:util';
import { checkReferences, generateDocs } from './docs';

const { values } = parseArgs({ options: { write: { type: 'boolean', default: false } } });

const problems = checkReferences();
for (const page of generateDocs(values.write)) {
  if (values.write) console.log(`${page} is renewed.`);
  else problems.push(`${page} is out of date: npm run docs:write`);
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
