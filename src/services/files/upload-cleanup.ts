import { ObjectId } from 'mongodb';
import { opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import { isMissing } from '../../utils/disk';
import { AVATAR_FOLDER, avatarIdOf } from './avatar.service';
import { ATTACHMENT_FOLDERS, uploadIdOf, type Attachments } from './attachments';
import type { FileStorage, StoredFile } from './file-storage';

/** The age from which an unused file is removed. No request takes that long. */
const MIN_AGE_MS = 24 * 60 * 60 * 1000;
/** The number of files that one query looks up. */
const BATCH_SIZE = 100;

/** How often uploads that were never sent are removed. */
export const ABANDONED_INTERVAL_MS = 60 * 60 * 1000;
/** How often all files are compared with the database. */
export const CLEANUP_INTERVAL_MS = 24 * 60 * 60 * 1000;

/**
 * Removes uploads that were never sent, and files that crashes have left: incomplete uploads, unused avatars, and files
 * that belong to no message.
 */
export class UploadCleanup {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly attachments: Attachments,
    private readonly storage: FileStorage,
    private readonly temporaryFolder: string,
  ) {}

  /** Removes every file, for a database that has just been emptied. */
  async removeAll(): Promise<void> {
    for (const folder of [AVATAR_FOLDER, ...ATTACHMENT_FOLDERS]) {
      for await (const { key } of this.storage.list(folder)) await this.storage.delete(key);
    }
  }

  /** Removes uploads that were never sent. @param signal ends the work early. */
  async removeAbandoned(signal?: AbortSignal): Promise<void> {
    if (!(await this.hasAccounts())) return;
    const before = new Date(Date.now() - MIN_AGE_MS);
    while (!signal?.aborted && (await this.attachments.removeAbandoned(before)));
  }

  /** Removes files that no document refers to. @param signal ends the work early. */
  async removeUnreferenced(signal?: AbortSignal): Promise<void> {
    if (!(await this.hasAccounts())) return;
    await this.inBatches(AVATAR_FOLDER, signal, (batch) => this.removeUnusedAvatars(batch));
    for (const folder of ATTACHMENT_FOLDERS) {
      await this.inBatches(folder, signal, (batch) => this.removeUnattachedFiles(batch));
    }
  }

  /** A database without accounts refers to no file at all: most likely it is the wrong database. */
  private async hasAccounts(): Promise<boolean> {
    return (await this.collections.installation.findOne({ _id: 'first_account' })) !== null;
  }

  /** Passes the files of a folder that are old enough to `work`, in batches. */
  private async inBatches(
    folder: string,
    signal: AbortSignal | undefined,
    work: (batch: StoredFile[]) => Promise<void>,
  ): Promise<void> {
    const before = new Date(Date.now() - MIN_AGE_MS);
    let batch: StoredFile[] = [];
    for await (const file of this.storage.list(folder)) {
      if (signal?.aborted) return;
      if (file.modifiedAt >= before) continue;
      batch.push(file);
      if (batch.length < BATCH_SIZE) continue;
      await work(batch);
      batch = [];
    }
    await work(batch);
  }

  /** Removes incomplete uploads of this node. @param signal ends the work early. */
  async removeTemporary(signal?: AbortSignal): Promise<void> {
    const before = new Date(Date.now() - MIN_AGE_MS);
    for await (const { name } of await opendir(this.temporaryFolder)) {
      if (signal?.aborted) return;
      const path = join(this.temporaryFolder, name);
      const found = await stat(path).catch((error: unknown) => {
        if (!isMissing(error)) throw error;
      });
      if (found?.isFile() && found.mtime < before) await rm(path, { force: true });
    }
  }

  private async removeUnusedAvatars(files: StoredFile[]): Promise<void> {
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

  /** Removes files without an upload, and uploads that are counted as used but belong to no message (a crash without transactions). */
  private async removeUnattachedFiles(files: StoredFile[]): Promise<void> {
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
