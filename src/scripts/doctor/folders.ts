import { randomBytes } from 'node:crypto';
import { open, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../../config/env.config';
import { inspectStore } from '../../db/mongodb';
import { isMissing } from '../../utils/disk';
import { messageOf, type Check, type Report } from './check';

const GROUP = 'Folders';
const MB = 1024 * 1024;
const GB = 1024 * MB;

/** The free space of a file system below which there is an error or a warning, in bytes. */
const SPACE = { error: 100 * MB, warning: GB };
/** The share of free inodes below which there is a warning. */
const FEW_INODES = 0.02;
/** A flush to the disk above this makes each acknowledgement slow, in milliseconds. */
const SLOW_FLUSH_MS = 20;
/** How often a flush is tried: other programs can make one slow. */
const FLUSHES = 3;

/** The types of file systems on other machines, as statfs numbers them: NFS, CIFS, SMB2, Ceph, 9P. */
const NETWORK_FILE_SYSTEMS = new Set([0x6969, 0xff534d42, 0xfe534d42, 0x00c36400, 0x01021997]);

/** Checks the folders of the installation. It creates and removes one temporary file in each. */
export const folderChecks: Check[] = [
  {
    group: GROUP,
    title: 'DATA_DIR',
    settings: ['DATA_DIR', 'MONGODB_URI'],
    run: async ({ dataDir, database }, report) => {
      const isStore = database.uri === undefined;
      const existing = await checkFolder('DATA_DIR', dataDir, report, isStore);
      if (!existing || existing.path !== dataDir) return;
      if (isStore && existing.isOnNetwork)
        report(
          'error',
          `DATA_DIR ${dataDir} is on a network file system, which the embedded store cannot use safely`,
          'Set DATA_DIR to a folder on a local disk, or use MongoDB (MONGODB_URI).',
        );
      if ((existing.mode & 0o077) !== 0 && process.platform !== 'win32')
        report('warning', `other users of this machine may open DATA_DIR ${dataDir}`, `chmod 700 ${dataDir}`);
    },
  },
  {
    group: GROUP,
    title: 'UPLOAD_DIR',
    settings: ['DATA_DIR', 'UPLOAD_DIR'],
    run: async ({ uploadDir }, report) => {
      await checkFolder('UPLOAD_DIR', uploadDir, report, false);
    },
  },
  {
    group: 'Database',
    title: 'Embedded store',
    settings: ['DATA_DIR', 'MONGODB_URI'],
    run: ({ database, dataDir }, report) => {
      if (database.uri === undefined) checkStore(dataDir, report);
    },
  },
];

interface ExistingFolder {
  path: string;
  mode: number;
  isOnNetwork: boolean;
}

/**
 * Checks that a folder, or the nearest one above it that exists, can be written and has space.
 * @returns undefined if it cannot be written.
 */
async function checkFolder(
  setting: string,
  folder: string,
  report: Report,
  withFlush: boolean,
): Promise<ExistingFolder | undefined> {
  const named = `${setting} ${folder}`;
  let path = folder;
  try {
    while (!(await exists(path))) path = dirname(path);
    const state = await stat(path);
    if (!state.isDirectory()) throw new Error(`${path} is not a folder.`);
    const flushMs = await writeTemporarily(path);
    if (path === folder) report('ok', `${named} can be written`);
    else report('ok', `${named} does not exist yet, and can be created`);
    if (withFlush) reportFlush(flushMs, report);
    const { type, bavail, bsize, files, ffree } = await statfs(path);
    const [status, message, advice] = assessSpace(named, bavail * bsize, files, ffree);
    report(status, message, advice);
    return { path, mode: state.mode, isOnNetwork: NETWORK_FILE_SYSTEMS.has(type) };
  } catch (error) {
    const advice = `Let the user who runs Parley write there, or set ${setting} to another folder.`;
    report('error', `${named} cannot be written: ${messageOf(error)}`, advice);
    return undefined;
  }
}

function reportFlush(milliseconds: number, report: Report): void {
  const message = `a flush to the disk of DATA_DIR took ${milliseconds.toFixed(1)} ms`;
  if (milliseconds < SLOW_FLUSH_MS) report('ok', message);
  else
    report(
      'warning',
      message,
      'Each acknowledgement of a message waits for one. Use an SSD on this machine.',
    );
}

/**
 * Judges the space of a file system.
 * @param free in bytes. @param files, freeFiles its inodes; 0 if it has no fixed number.
 */
export function assessSpace(
  folder: string,
  free: number,
  files: number,
  freeFiles: number,
): Parameters<Report> {
  const space = free >= 10 * GB ? `${Math.round(free / GB)} GB` : `${Math.round(free / MB)} MB`;
  const message = `${folder} has ${space} of free space`;
  if (free < SPACE.error) return ['error', message, 'Free some space: without it, nothing can be stored.'];
  if (free < SPACE.warning) return ['warning', message, 'Free some space before it is used up.'];
  if (files > 0 && freeFiles / files < FEW_INODES)
    return [
      'warning',
      `${folder} has only ${freeFiles} free inodes`,
      'Each file needs one. Remove small files.',
    ];
  return ['ok', message];
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (!isMissing(error) || dirname(path) === path) throw error;
    return false;
  }
}

/** Writes and removes a file. @returns the shortest time that a flush of it took, in milliseconds */
async function writeTemporarily(folder: string): Promise<number> {
  const path = join(folder, `.parley-doctor-${randomBytes(8).toString('hex')}`);
  const file = await open(path, 'wx', 0o600);
  try {
    let shortest = Infinity;
    for (let count = 0; count < FLUSHES; count++) {
      await file.write('doctor');
      const start = performance.now();
      await file.datasync();
      shortest = Math.min(shortest, performance.now() - start);
    }
    return shortest;
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

/** Checks the data file of the embedded store without opening the store. */
function checkStore(dataDir: Config['dataDir'], report: Report): void {
  const state = inspectStore(dataDir);
  switch (state.kind) {
    case 'empty':
      report('ok', 'embedded store: it will be created at the start');
      return;
    case 'in_use':
      report('ok', `embedded store: in use by the running process ${state.pid}`);
      return;
    case 'not_closed':
      report('ok', 'embedded store: it was not closed, and will be recovered from its log at the start');
      return;
    case 'current':
      report('ok', 'embedded store: its data file has the current format');
      return;
    case 'older':
      report(
        'warning',
        'embedded store: its data file has an older format, and will be converted at the start',
        'Copy DATA_DIR first: an older version of Parley cannot open it afterwards.',
      );
      return;
    case 'unusable':
      report(
        'error',
        `embedded store: ${state.reason}`,
        'The file was not changed. docs/embedded-store.md says more.',
      );
  }
}
