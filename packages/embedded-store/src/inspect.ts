import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { open } from 'lmdb';
import { checkFormat } from './storage/format';
import { checkDataFile } from './storage/file-check';
import { lockingProcess } from './storage/lock';

/** The state of a data folder. */
export type StoreState =
  /** There is no data file yet. */
  | { kind: 'empty' }
  /** A running process has opened it. */
  | { kind: 'in_use'; pid: number }
  /** Its process was killed; the next start recovers the data file from the log. */
  | { kind: 'not_closed' }
  /** It was closed, and its data file has the format that this program writes. */
  | { kind: 'current' }
  /** It was closed, and its data file has an older format, which the next start converts. */
  | { kind: 'older' }
  /** This program cannot open it, for example because it is damaged or was written by a newer program. */
  | { kind: 'unusable'; reason: string };

/** Returns the state of a data folder, which need not exist, without changing the data. */
export function inspectStore(dataDir: string): StoreState {
  const path = join(dataDir, 'store.mdb');
  try {
    const pid = lockingProcess(dataDir);
    if (pid !== undefined) return { kind: 'in_use', pid };
    if (!existsSync(path) || statSync(path).size === 0) return { kind: 'empty' };
    // Until then, the file may be incomplete.
    if (existsSync(join(dataDir, 'store.log'))) return { kind: 'not_closed' };
    checkDataFile(path);
    const root = open<Buffer, Buffer>({
      path,
      maxDbs: 8,
      readOnly: true,
      encoding: 'binary',
      keyEncoding: 'binary',
    });
    try {
      return { kind: checkFormat(root, path) ? 'current' : 'older' };
    } finally {
      void root.close();
    }
  } catch (error) {
    return { kind: 'unusable', reason: (error as Error).message };
  }
}
