import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collections } from '../../db/collections';
import { isMissing, moveInto, writeTemporary } from '../../utils/disk';
import type { FileStorage } from './file-storage';

/** The file in a folder of uploads that holds the id of the database to which the folder belongs. */
const MARKER = '.database';

/**
 * Ties the folder of uploads to one database. Two databases must not share a folder: the files of each would look
 * like leftovers to the other, which removes those (`UploadCleanup`).
 */
export class UploadFolder {
  private readonly marker: string;

  /**
   * @param folder the folder, which exists before `start`.
   * @param temporary a folder on the same file system, which exists, too.
   * @param folders those in the storage that hold files.
   */
  constructor(
    private readonly folder: string,
    private readonly temporary: string,
    private readonly storage: Pick<FileStorage, 'list'>,
    private readonly folders: readonly string[],
    private readonly collections: Pick<Collections, 'databaseIdentity'>,
  ) {
    this.marker = join(folder, MARKER);
  }

  /**
   * Marks the folder as that of this database. A folder without a mark, or without files, becomes that.
   * @throws Error when it has files of another database.
   */
  async start(): Promise<void> {
    const { databaseIdentity } = this.collections;
    await databaseIdentity.updateOne(
      { _id: 'database' },
      { $setOnInsert: { id: randomUUID() } },
      { upsert: true },
    );
    const id = await this.requireOwn();
    if (id === undefined) throw new Error('The id of the database was not stored.');
    if ((await this.readMarker()) === id) return;
    const { path } = await writeTemporary(this.temporary, async (file) => {
      await file.writeFile(id);
      await file.sync();
    });
    await moveInto(path, this.marker);
  }

  /**
   * @returns the id of the database, if it has one already.
   * @throws Error when the folder has files of another database.
   */
  async requireOwn(): Promise<string | undefined> {
    const identity = await this.collections.databaseIdentity.findOne({ _id: 'database' });
    const owner = await this.readMarker();
    if (owner !== undefined && owner !== identity?.id && (await this.hasFiles())) {
      throw new Error(
        `UPLOAD_DIR ${this.folder} has the files of another database. ` +
          'Set UPLOAD_DIR to a folder of its own, or empty that folder if its database is gone.',
      );
    }
    return identity?.id;
  }

  /** Removes the mark, for a database that has just been emptied and so has lost its id. */
  async release(): Promise<void> {
    await rm(this.marker, { force: true });
  }

  private async readMarker(): Promise<string | undefined> {
    try {
      return (await readFile(this.marker, 'utf8')).trim();
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  private async hasFiles(): Promise<boolean> {
    for (const folder of this.folders) {
      for await (const _ of this.storage.list(folder)) return true;
    }
    return false;
  }
}
