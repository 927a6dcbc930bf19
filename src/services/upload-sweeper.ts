import { opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collections } from '../db/collections';
import { isMissing } from '../utils/disk';
import type { Logger } from '../utils/logger';
import { AVATAR_FOLDER, avatarIdOf } from './avatar.service';
import type { FileStorage, StoredFile } from './file-storage';

/** How old a file is before it counts as left behind, in milliseconds. No request takes that long. */
const LEFT_BEHIND = 24 * 60 * 60 * 1000;
/** Files that the database is asked about at a time. */
const BATCH = 100;

/** Removes what crashes have left behind: files half received, and avatars that nobody has. */
export class UploadSweeper {
  private stopped = false;
  private working: Promise<void> | undefined;

  constructor(
    private readonly collections: Collections,
    private readonly storage: FileStorage,
    private readonly temporaryFolder: string,
    private readonly logger: Logger,
  ) {}

  /** Starts sweeping, behind the work of the server. */
  start(): void {
    this.working = this.sweep().catch((error: unknown) =>
      this.logger.error({ err: error }, 'sweeping uploads failed'),
    );
  }

  /** Resolves when no sweep is under way; what is left is done at the next start. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.working;
  }

  /** Removes every avatar: for a database that has just been emptied. */
  async removeAll(): Promise<void> {
    for await (const { key } of this.storage.list(AVATAR_FOLDER)) await this.storage.delete(key);
  }

  private async sweep(): Promise<void> {
    const before = new Date(Date.now() - LEFT_BEHIND);
    await this.sweepTemporary(before);
    // A database without accounts names no file at all: most likely it is the wrong one.
    if (!(await this.collections.installation.findOne({ _id: 'first_account' }))) return;
    let batch: StoredFile[] = [];
    for await (const file of this.storage.list(AVATAR_FOLDER)) {
      if (this.stopped) return;
      if (file.modifiedAt >= before) continue;
      batch.push(file);
      if (batch.length < BATCH) continue;
      await this.removeUnnamed(batch);
      batch = [];
    }
    await this.removeUnnamed(batch);
  }

  private async sweepTemporary(before: Date): Promise<void> {
    for await (const { name } of await opendir(this.temporaryFolder)) {
      const path = join(this.temporaryFolder, name);
      const found = await stat(path).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
      if (found?.isFile() && found.mtime < before) await rm(path, { force: true });
    }
  }

  private async removeUnnamed(files: StoredFile[]): Promise<void> {
    const ids = [...new Set(files.flatMap(({ key }) => avatarIdOf(key) ?? []))];
    if (ids.length === 0) return;
    const among = { avatarId: { $in: ids } };
    const projection = { avatarId: 1 };
    const [users, groups] = await Promise.all([
      this.collections.users.find(among, { projection }).toArray(),
      this.collections.groups.find(among, { projection }).toArray(),
    ]);
    const named = new Set([...users, ...groups].map(({ avatarId }) => avatarId));
    for (const { key } of files) {
      const id = avatarIdOf(key);
      if (id !== undefined && !named.has(id)) await this.storage.delete(key);
    }
  }
}
