// Compiles src without its tests into dist: first in the packages that Parley uses, then in Parley. It does not check
// types, which `npm run check` does: that saves two thirds of the time.
//
//   node tools/build.mjs [--if-stale] [FOLDER …] FOLDER is a package, such as packages/embedded-store; by default
// everything is built. With --if-stale, a dist that is newer than all source files is skipped, and nothing is done in
// an installation that has only dist (production without development dependencies).
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const root = resolve(import.meta.dirname, '..');
const projects = [join(root, 'packages', 'embedded-store'), root];
/** The files on which every build depends. */
const shared = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'].map((name) => join(root, name));

function newestChange(path) {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  // The time of a folder is when a file was last added, deleted or renamed in it.
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
  // Standard output is reserved for the command that runs after the build.
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
if (unknown !== undefined) throw new Error(`${unknown} is not a package of this repository`);
for (const project of named.length > 0 ? named : projects) {
  if (!values['if-stale'] || !isFresh(project)) build(project);
}
