import { ObjectId } from 'mongodb';
import { opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import { isMissing } from '../../utils/disk';
import type { Logger } from '../../utils/logger';
import { AVATAR_FOLDER, avatarIdOf } from './avatar.service';
import { ATTACHMENT_FOLDERS, uploadIdOf, type Attachments } from './attachments';
import type { FileStorage, StoredFile } from './file-storage';

/** How old a file is before it counts as left behind, in milliseconds. No request takes that long. */
const LEFT_BEHIND = 24 * 60 * 60 * 1000;
/** Files that the database is asked about at a time. */
const BATCH = 100;

/** How often uploads are looked for that were never sent, in milliseconds. */
const INTERVAL = 60 * 60 * 1000;

/**
 * Removes uploads that were never sent, and what crashes have left behind: files half received, avatars that nobody
 * has, and files that are on no message.
 */
export class UploadSweeper {
  private running = false;
  private timer: NodeJS.Timeout | undefined;
  /** The sweeps so far, one behind the other. */
  private working: Promise<void> = Promise.resolve();

  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly attachments: Attachments,
    private readonly storage: FileStorage,
    private readonly temporaryFolder: string,
    private readonly logger: Logger,
  ) {}

  /** Starts sweeping, behind the work of the server: all that there is now, and every hour what was never sent. */
  start(): void {
    this.running = true;
    this.begin(() => this.sweep());
    this.timer = setInterval(() => this.begin(() => this.removeAbandoned()), INTERVAL).unref();
  }

  /** Resolves when no sweep is under way; what is left is done at the next start. */
  async stop(): Promise<void> {
    this.running = false;
    clearInterval(this.timer);
    await this.working;
  }

  /** Removes every file: for a database that has just been emptied. */
  async removeAll(): Promise<void> {
    for (const folder of [AVATAR_FOLDER, ...ATTACHMENT_FOLDERS]) {
      for await (const { key } of this.storage.list(folder)) await this.storage.delete(key);
    }
  }

  private begin(work: () => Promise<void>): void {
    this.working = this.working
      .then(work)
      .catch((error: unknown) => this.logger.error({ err: error }, 'sweeping uploads failed'));
  }

  private async removeAbandoned(): Promise<void> {
    const before = new Date(Date.now() - LEFT_BEHIND);
    while (this.running && (await this.attachments.removeAbandoned(before)));
  }

  private async sweep(): Promise<void> {
    const before = new Date(Date.now() - LEFT_BEHIND);
    await this.sweepTemporary(before);
    // A database without accounts names no file at all: most likely it is the wrong one.
    if (!(await this.collections.installation.findOne({ _id: 'first_account' }))) return;
    await this.removeAbandoned();
    await this.inBatches(AVATAR_FOLDER, before, (batch) => this.removeUnnamed(batch));
    for (const folder of ATTACHMENT_FOLDERS) {
      await this.inBatches(folder, before, (batch) => this.removeUnattached(batch));
    }
  }

  /** Hands over the files of a folder that are old enough. */
  private async inBatches(
    folder: string,
    before: Date,
    work: (batch: StoredFile[]) => Promise<void>,
  ): Promise<void> {
    let batch: StoredFile[] = [];
    for await (const file of this.storage.list(folder)) {
      if (!this.running) return;
      if (file.modifiedAt >= before) continue;
      batch.push(file);
      if (batch.length < BATCH) continue;
      await work(batch);
      batch = [];
    }
    await work(batch);
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

  /** Files without an upload, and uploads that say to be on a message and are on none: a crash without transactions. */
  private async removeUnattached(files: StoredFile[]): Promise<void> {
    const ids = [...new Set(files.flatMap(({ key }) => uploadIdOf(key) ?? []))].map((id) => new ObjectId(id));
    if (ids.length === 0) return;
    const { uploads, messages } = this.collections;
    const kept = await this.transactions.run(async () => {
      const [known, having] = await Promise.all([
        this.attachments.find(ids),
        messages.find({ 'attachments.uploadId': { $in: ids } }, { projection: { attachments: 1 } }).toArray(),
      ]);
      const attached = new Set(
        having.flatMap(({ attachments = [] }) => attachments.map(({ uploadId }) => uploadId.toHexString())),
      );
      const lost = [...known.values()].filter(
        ({ _id, uses }) => uses > 0 && !attached.has(_id.toHexString()),
      );
      if (lost.length > 0) await uploads.deleteMany({ _id: { $in: lost.map(({ _id }) => _id) } });
      for (const { _id } of lost) known.delete(_id.toHexString());
      return known;
    });
    for (const { key } of files) {
      const id = uploadIdOf(key);
      if (id !== undefined && !kept.has(id)) await this.storage.delete(key);
    }
  }
}
