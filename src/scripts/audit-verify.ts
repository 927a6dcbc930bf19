import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { ChainVerifier, type Anchor, type ChainBreak } from '../services/audit/audit-chain';
import { runScript } from './run-script';

const HELP = `Checks that no entry of the audit log was changed, removed or inserted.

  npm run audit:verify                          the log in the configured database
  npm run audit:verify -- --file audit.ndjson   a whole export of GET /api/admin/audit-log/export
  npm run audit:verify -- --anchor 1234:5f2c…   the log must still contain entry 1234 with this hash

The embedded store belongs to one process at a time: stop the server first, or check an export.
The last line names the end of the log. Keep it elsewhere and pass it as --anchor the next time: a log that was
truncated after some entry, or rewritten from there on, is consistent in itself.`;

const { values } = parseArgs({
  options: {
    file: { type: 'string' },
    anchor: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

interface Finding {
  end: Anchor;
  broken: ChainBreak | undefined;
}

async function verifyFile(path: string, anchor: Anchor | undefined): Promise<Finding> {
  const verifier = new ChainVerifier(anchor);
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  for await (const line of lines) if (line !== '' && verifier.add(parseLine(line))) break;
  return { end: verifier.end, broken: verifier.finish() };
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function parseAnchor(text: string): Anchor {
  const [, seq, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(text) ?? [];
  if (seq === undefined || hash === undefined) {
    throw new Error('--anchor requires the number and the hash of an entry: 1234:5f2c…');
  }
  return { seq: Number(seq), hash };
}

function report({ end, broken }: Finding): void {
  if (broken) throw new Error(`The audit log is broken at entry ${broken.seq}: ${broken.reason}.`);
  console.log(`The audit log is intact: ${end.seq} entries.\nAnchor ${end.seq}:${end.hash}`);
}

async function main(): Promise<void> {
  const anchor = values.anchor === undefined ? undefined : parseAnchor(values.anchor);
  const { file } = values;
  if (file !== undefined) report(await verifyFile(file, anchor));
  else await runScript(async ({ services }) => report(await services.audit.verify(anchor)));
}

if (values.help) {
  console.log(HELP);
} else {
  main().catch((error: unknown) => {
    console.error((error as Error).message);
    process.exitCode = 1;
  });
}
