import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import { decisionPages, decisionProblems, decisionsTable } from './docs-decisions';
import { brokenLinks, brokenReferences, namedThings, undescribedScripts } from './docs-references';
import { docsTables } from './docs-tables';
import type { JsonObject } from './schema-diff';

const ROOT = join(__dirname, '..');
const DECISIONS = join(ROOT, 'docs', 'decisions');

const json = (...path: string[]) => JSON.parse(readFileSync(join(ROOT, ...path), 'utf8')) as JsonObject;

/** Every page of the documentation except the decisions: they describe the code as it was on their date. */
function pages(): string[] {
  const docs = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  const packages = readdirSync(join(ROOT, 'packages'));
  return [
    ...['README.md', 'CONTRIBUTING.md'].map((name) => join(ROOT, name)),
    ...docs.map((name) => join(ROOT, 'docs', name)),
    join(DECISIONS, 'README.md'),
    ...packages.map((name) => join(ROOT, 'packages', name, 'README.md')),
  ];
}

/**
 * A generated part of a page, with its markers. Prettier ignores these tables: otherwise a change of one cell could
 * change the padding of all rows.
 */
const GENERATED =
  /(<!-- generated: ([a-z-]+)[^>]*-->\n<!-- prettier-ignore-start -->\n)[^]*?(\n<!-- prettier-ignore-end -->)/g;

/**
 * Generates the tables of all pages: from docs/api, and from the first lines of the decisions.
 * @param write whether to update the pages that are out of date.
 * @returns the paths of these pages.
 */
export function generateDocs(write: boolean): string[] {
  const tables: Record<string, string> = {
    ...docsTables(json('docs', 'api', 'asyncapi.json')),
    decisions: decisionsTable(DECISIONS),
  };
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

/** Returns the paths of the README.md files in the folders of the code. */
function folderReadmes(): string[] {
  return ['bench', 'client', 'packages', 'src', 'tools'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => basename(path) === 'README.md' && !path.split(sep).includes('node_modules'))
      .map((path) => join(ROOT, folder, path)),
  );
}

/**
 * Finds references to things that do not exist, and decisions without a valid name, title, status or date.
 * @returns a message for each.
 */
export function checkReferences(): string[] {
  const named = namedThings(
    json('docs', 'api', 'openapi.json'),
    json('docs', 'api', 'asyncapi.json'),
    json('package.json'),
  );
  return [
    ...pages().flatMap((page) => brokenReferences(page, named)),
    ...undescribedScripts(pages(), named).map((name) => `no page describes npm run ${name}`),
    ...decisionProblems(DECISIONS),
    ...[...decisionPages(DECISIONS), ...folderReadmes()].flatMap(brokenLinks),
  ];
}
