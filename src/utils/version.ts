import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The version in package.json, which is two folders up in the sources and in dist alike. */
export const VERSION = (
  JSON.parse(readFileSync(join(__dirname, '..', '..', 'package.json'), 'utf8')) as { version: string }
).version;
