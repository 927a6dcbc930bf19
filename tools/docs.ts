import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { docsTables } from './docs-tables';
import { brokenReferences, namedThings, undescribedScripts } from './docs-references';
import type { JsonObject } from './schema-diff';

const ROOT = join(__dirname, '..');

const json = (...path: string[]) => JSON.parse(readFileSync(join(ROOT, ...path), 'utf8')) as JsonObject;

/** Every page of the documentation but the decisions, which say how things were when they were made. */
function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  return [
    ...['README.md', 'CONTRIBUTING.md'].map((name) => join(ROOT, name)),
    ...docs.map((name) => join(ROOT, 'docs', name)),
  ];
}

/** A part of a page between its two markers. Prettier leaves it as it is: padded tables would all change with one cell. */
const GENERATED =
  /(<!-- generated: ([a-z-]+)[^>]*-->\n<!-- prettier-ignore-start -->\n)[^]*?(\n<!-- prettier-ignore-end -->)/g;

/**
 * Makes the generated parts of all pages anew, from docs/api and the error catalogue.
 * @param write whether to write the pages that differ.
 * @returns their names.
 */
export function generateDocs(write: boolean): string[] {
  const tables = docsTables(json('docs', 'api', 'asyncapi.json'));
  const unused = new Set(Object.keys(tables));
  const stale = pages().filter((page) => {
    const before = readFileSync(page, 'utf8');
    const after = before.replaceAll(GENERATED, (_, head: string, name: string, tail: string) => {
      const generated = tables[name];
      if (generated === undefined)
        throw new Error(`${page} asks for a table ${name} that nothing generates.`);
      unused.delete(name);
      return `${head}\n${generated}\n${tail}`;
    });
    if (write && after !== before) writeFileSync(page, after);
    return after !== before;
  });
  if (unused.size > 0) throw new Error(`No page has the markers of ${[...unused].join(', ')}.`);
  return stale;
}

/** What pages name that does not exist. @returns one line for each. */
export function checkReferences(): string[] {
  const named = namedThings(
    json('docs', 'api', 'openapi.json'),
    json('docs', 'api', 'asyncapi.json'),
    json('package.json'),
  );
  return [
    ...pages().flatMap((page) => brokenReferences(page, named)),
    ...undescribedScripts(pages(), named).map((name) => `no page describes npm run ${name}`),
  ];
}
