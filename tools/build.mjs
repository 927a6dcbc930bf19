// Compiles src, without its tests, into dist. Types are checked by `npm run check`, which leaves two thirds of the
// time out here. With --if-stale it does nothing when dist is newer than every source file, and nothing in an
// installation that has only dist (production without development dependencies).
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
const stamp = join(root, 'dist', '.built');
const tests = join(root, 'src', '__tests__');

function newestChange(path) {
  if (path === tests) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  // A folder's own time tells of deleted and renamed files.
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newestChange(join(path, name))));
}

function isFresh() {
  if (!existsSync(join(root, 'src'))) return existsSync(stamp);
  if (!existsSync(stamp)) return false;
  const sources = ['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  const built = statSync(stamp).mtimeMs;
  return sources.every((name) => newestChange(join(root, name)) <= built);
}

if (process.argv.includes('--if-stale') && isFresh()) process.exit(0);

// Not on standard output, which belongs to the command that is run afterwards.
console.error('Building dist …');
rmSync(join(root, 'dist'), { recursive: true, force: true });
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const result = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--noCheck'], {
  cwd: root,
  stdio: 'inherit',
});
if (result.status !== 0) process.exit(result.status ?? 1);
writeFileSync(stamp, '');
