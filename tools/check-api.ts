/**
 * Compares the API with its committed documents, `docs/api/*.json`, and prints the differences.
 *
 *   npm run check:api                    fails if they differ
 *   npm run api:write                    updates them, unless a change would break clients
 *   npm run api:write -- --breaking      updates them in any case
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { loadConfig } from '../src/config/env.config';
import { createContext } from '../src/context';
import { startServer } from '../src/start-server';
import { generateDocs } from './docs';
import { diffAsyncApi, diffOpenApi } from './api-diff';
import type { Change, JsonObject } from './schema-diff';

const FOLDER = join(__dirname, '..', 'docs', 'api');
const DOCUMENTS = [
  { name: 'openapi', diff: diffOpenApi },
  { name: 'asyncapi', diff: diffAsyncApi },
] as const;

const { values } = parseArgs({
  options: { write: { type: 'boolean', default: false }, breaking: { type: 'boolean', default: false } },
});

/** Returns the documents of a server that is started with an empty database. */
async function generate(): Promise<Map<string, JsonObject>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-api-'));
  const settings = {
    DATA_DIR: dataDir,
    PORT: '0',
    PUBLIC_URL: 'http://localhost:3000',
    LOG_LEVEL: 'error',
    PEERJS_ENABLED: 'false',
  };
  const context = await createContext(loadConfig(settings, dataDir));
  const server = await startServer(context);
  try {
    const documents = new Map<string, JsonObject>();
    for (const { name } of DOCUMENTS) {
      const answer = await fetch(`${server.url}/${name}.json`);
      documents.set(name, (await answer.json()) as JsonObject);
    }
    return documents;
  } finally {
    await server.close();
    await context.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function textOf(document: JsonObject, path: string): Promise<string> {
  return format(JSON.stringify(document), { ...(await resolveConfig(path)), filepath: path });
}

async function committed(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

function printChanges(name: string, changes: Change[]): void {
  const breakingFirst = [...changes].sort((one, other) => Number(other.breaking) - Number(one.breaking));
  for (const { breaking, at, what } of breakingFirst) {
    console.log(`${breaking ? 'BREAKING ' : 'compatible'} ${name}: ${at} ${what}`);
  }
  if (changes.length === 0) console.log(`compatible ${name}: descriptions differ`);
}

async function main(): Promise<void> {
  let differs = false;
  let breaks = false;
  const writes: [path: string, text: string][] = [];
  const documents = await generate();
  for (const { name, diff } of DOCUMENTS) {
    const document = documents.get(name)!;
    const path = join(FOLDER, `${name}.json`);
    const before = await committed(path);
    const text = await textOf(document, path);
    if (before === text) continue;
    differs = true;
    writes.push([path, text]);
    if (before === undefined) {
      console.log(`${path} does not exist.`);
      continue;
    }
    const changes = diff(JSON.parse(before) as JsonObject, document);
    breaks ||= changes.some(({ breaking }) => breaking);
    printChanges(name, changes);
  }
  if (!differs) {
    console.log('docs/api is up to date.');
  } else if (!values.write) {
    const how = breaks ? ' -- --breaking' : '';
    throw new Error(`docs/api is not up to date. If the changes are intended, run: npm run api:write${how}`);
  } else if (breaks && !values.breaking) {
    throw new Error(
      'The changes would break clients. If that is intended, run: npm run api:write -- --breaking',
    );
  } else {
    await mkdir(FOLDER, { recursive: true });
    for (const [path, text] of writes) await writeFile(path, text);
    generateDocs(true);
    console.log(
      'docs/api has been updated, with the tables of the documentation that are generated from it.',
    );
  }
}

main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
