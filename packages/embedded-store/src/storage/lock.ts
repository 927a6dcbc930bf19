import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StoreError } from '../errors';

/** The process that has locked the folder, and when it started, because process ids are reused. */
interface Holder {
  pid: number;
  startedAt: string;
  token: string;
}

/** A folder that no other store may open. */
export interface DirectoryLock {
  release(): void;
}

const FILE = 'store.lock';
/** The file that says how to connect to the store that has locked the folder. */
const ADDRESS_FILE = 'store.address';

/**
 * Locks `dataDir` for one store. The lock of a killed process is taken over. `token` identifies the lock, so that
 * the thread that started a worker can release the lock of a crashed worker. Throws LockBusy with the folder and
 * the process that has locked it.
 */
export function lockDirectory(dataDir: string, token: string): DirectoryLock {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, FILE);
  const own: Holder = { pid: process.pid, startedAt: processStart(process.pid) ?? '', token };
  const draft = `${path}.${process.pid}.${token}`;
  writeFileSync(draft, JSON.stringify(own), { flag: 'wx' });
  try {
    // A link either creates the complete lock file or fails because another one exists.
    while (!tryLink(draft, path)) {
      const found = readHolder(path);
      if (!found) continue;
      if (isAlive(found.holder)) throw busy(dataDir, found.holder);
      removeStale(path, draft, found.text);
    }
  } finally {
    unlinkSync(draft);
  }
  return { release: () => releaseDirectory(dataDir, token) };
}

/** Records the connection string of the store whose lock has this token. */
export function announceAddress(dataDir: string, token: string, uri: string): void {
  const path = join(dataDir, ADDRESS_FILE);
  const draft = `${path}.${token}`;
  writeFileSync(draft, JSON.stringify({ token, uri }), { mode: 0o600 });
  renameSync(draft, path);
}

/** The connection string of the store that serves the folder now; undefined if none does. */
export function runningStore(dataDir: string): string | undefined {
  const found = readHolder(join(dataDir, FILE));
  if (!found || !isAlive(found.holder)) return undefined;
  try {
    const text = readFileSync(join(dataDir, ADDRESS_FILE), 'utf8');
    const { token, uri } = JSON.parse(text) as { token: string; uri: string };
    return token === found.holder.token ? uri : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Removes the lock and the address if the lock has this token. */
export function releaseDirectory(dataDir: string, token: string): void {
  const path = join(dataDir, FILE);
  if (readHolder(path)?.holder.token !== token) return;
  rmSync(join(dataDir, ADDRESS_FILE), { force: true });
  rmSync(path, { force: true });
}

/** Returns the id of the process that has locked the folder; undefined if no running process has. */
export function lockingProcess(dataDir: string): number | undefined {
  const found = readHolder(join(dataDir, FILE));
  return found && isAlive(found.holder) ? found.holder.pid : undefined;
}

function busy(dataDir: string, holder: Holder): StoreError {
  return new StoreError(
    'LockBusy',
    `the data folder ${dataDir} is in use by process ${holder.pid}; stop that process or choose another folder`,
  );
}

function tryLink(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(path: string): { holder: Holder; text: string } | undefined {
  try {
    const text = readFileSync(path, 'utf8');
    return { holder: JSON.parse(text) as Holder, text };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (error instanceof SyntaxError) return { holder: { pid: 0, startedAt: '', token: '' }, text: '' };
    throw error;
  }
}

function isAlive({ pid, startedAt }: Holder): boolean {
  if (pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const start = processStart(pid);
  return start === undefined || startedAt === '' || start === startedAt;
}

/** Removes a stale lock; restores it if another process has locked the folder in the meantime. */
function removeStale(path: string, draft: string, expected: string): void {
  const aside = `${draft}.stale`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = readHolder(aside);
  if (moved && moved.text !== expected) tryLink(aside, path);
  rmSync(aside, { force: true });
}

/** The start time of a process (Linux); undefined if the system does not report it. */
function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in parentheses, may contain spaces; the start time is the 20th field after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
