import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Builds the packages whose build is stale, because the application and the tests start what is built of them. */
export default function buildPackages(): void {
  const tool = join(__dirname, '..', 'build.mjs');
  execFileSync(process.execPath, [tool, '--if-stale', 'packages/embedded-store'], { stdio: 'inherit' });
}
