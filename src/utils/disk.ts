import { randomUUID } from 'node:crypto';
import { access, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from './errors';

/** No space, over quota, or over the largest file size of the system. */
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/**
 * Writes a new file in a folder, readable by this user alone. When `write` fails, the file is removed.
 * @returns the path, and what `write` returned.
 * @throws AppError storage_full; what `write` throws
 */
export async function writeTemporary<Result>(
  folder: string,
  write: (file: FileHandle) => Promise<Result>,
): Promise<{ path: string; result: Result }> {
  const path = join(folder, randomUUID());
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      return { path, result: await write(file) };
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined);
    throw asStorageError(error);
  }
}

/** Moves a file to its final path, atomically and durably. Both paths are on the same file system. */
export async function moveInto(path: string, target: string): Promise<void> {
  try {
    await rename(path, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(path, { force: true }).catch(() => undefined);
    throw asStorageError(error);
  }
}

/** Whether something exists at a path. */
export async function isTaken(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

/** Whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

function asStorageError(error: unknown): unknown {
  return FULL.has(codeOf(error))
    ? new AppError('storage_full', 'The server has no space for the file.')
    : error;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code ?? '';
}

async function syncFolder(path: string): Promise<void> {
  // Windows cannot open folders, and makes file names durable by itself.
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}
