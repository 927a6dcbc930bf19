import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Builds the packages whose build is stale, because the application and the tests load the built packages. */
export default function buildPackages(): void {
  const tool = join(__dirname, '..', 'build.mjs');
  execFileSync(process.execPath, [tool, '--if-stale', 'packages/embedded-store'], { stdio: 'inherit' });
}
