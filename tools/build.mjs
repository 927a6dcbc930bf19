// Compiles src, without its tests, into dist: first of the packages that Parley uses, then of Parley. Types are checked
// by `npm run check`, which leaves two thirds of the time out here.
//
//   node tools/build.mjs [--if-stale] [FOLDER …]
//
// FOLDER is a package, such as packages/embedded-store; without one everything is built. With --if-stale it leaves out
// each dist that is newer than every source file, and does nothing in an installation that has only dist (production
// without development dependencies).
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const projects = [join(root, 'packages', 'embedded-store'), root];
/** What every build depends on. */
const shared = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) => join(root, name));

function newestChange(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  // The time of a folder is that of the last file added, deleted or renamed in it.
  const names = readdirSync(path).filter((name) => name !== '__tests__');
  return Math.max(stat.mtimeMs, ...names.map((name) => newestChange(join(path, name))));
}

const stampOf = (project) => join(project, 'dist', '.built');

function isFresh(project) {
  const stamp = stampOf(project);
  if (!existsSync(stamp)) return false;
  if (!existsSync(join(project, 'src'))) return true;
  const built = statSync(stamp).mtimeMs;
  const sources = ['src', 'package.json', 'tsconfig.build.json'].map((name) => join(project, name));
  return [...sources, ...shared].every((path) => newestChange(path) <= built);
}

function build(project) {
  // Not on standard output, which belongs to the command that is run afterwards.
  console.error(`Building ${relative(root, join(project, 'dist'))} …`);
  rmSync(join(project, 'dist'), { recursive: true, force: true });
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  const result = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--noCheck'], {
    cwd: project,
    stdio: 'inherit',
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
  writeFileSync(stampOf(project), '');
}

const { values, positionals } = parseArgs({
  options: { 'if-stale': { type: 'boolean', default: false } },
  allowPositionals: true,
});
const named = positionals.map((folder) => resolve(root, folder));
const unknown = named.find((folder) => !projects.includes(folder));
if (unknown !== undefined) throw new Error(`${unknown} is not a package that is built here`);
for (const project of named.length > 0 ? named : projects) {
  if (!values['if-stale'] || !isFresh(project)) build(project);
}
