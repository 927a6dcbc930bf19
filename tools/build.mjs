// Compiles src without its tests into dist: first in the packages that Parley uses, then in Parley. It does not check
// types, which `npm run check` does, nor read those of libraries: each file is compiled by itself, as the option
// isolatedModules allows. That saves most of the time.
//
//   node tools/build.mjs [--if-stale] [FOLDER …] FOLDER is a package, such as packages/embedded-store; by default
// everything is built. With --if-stale, a dist that is newer than all source files is skipped, and nothing is done in
// an installation that has only dist, or that has dist and no compiler (production without development dependencies):
// `npm prune --omit=dev` changes package-lock.json.
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

function hasCompiler() {
  try {
    createRequire(import.meta.url).resolve('typescript');
    return true;
  } catch {
    return false;
  }
}

const stampOf = (project) => join(project, 'dist', '.built');

function isFresh(project) {
  const stamp = stampOf(project);
  if (!existsSync(stamp)) return false;
  if (!existsSync(join(project, 'src')) || !hasCompiler()) return true;
  const built = statSync(stamp).mtimeMs;
  const sources = ['src', 'package.json', 'tsconfig.build.json'].map((name) => join(project, name));
  return [...sources, ...shared].every((path) => newestChange(path) <= built);
}

function build(project) {
  // Standard output is reserved for the command that runs after the build.
  console.error(`Building ${relative(root, join(project, 'dist'))} …`);
  // First what can fail: a dist that cannot be replaced is kept.
  const ts = createRequire(import.meta.url)('typescript');
  rmSync(join(project, 'dist'), { recursive: true, force: true });
  const host = {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => fail(ts, [diagnostic]),
  };
  const overrides = { noCheck: true, noLib: true, noResolve: true, types: [] };
  const config = ts.getParsedCommandLineOfConfigFile(join(project, 'tsconfig.build.json'), overrides, host);
  if (config.errors.length > 0) fail(ts, config.errors);
  const program = ts.createProgram(config.fileNames, config.options);
  const syntaxErrors = program.getSyntacticDiagnostics();
  if (syntaxErrors.length > 0) fail(ts, syntaxErrors);
  const { diagnostics } = program.emit();
  if (diagnostics.length > 0) fail(ts, diagnostics);
  writeFileSync(stampOf(project), '');
}

function fail(ts, diagnostics) {
  const names = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => root,
    getNewLine: () => '\n',
  };
  console.error(ts.formatDiagnostics(diagnostics, names));
  process.exit(1);
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
