import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Collections } from '../../db/collections';
import { isMissing, moveInto, writeTemporary } from '../../utils/disk';
import type { FileStorage } from './file-storage';

/** The file in an upload folder that contains the id of the database to which the folder belongs. */
const MARKER = '.database';

/**
 * Assigns the upload folder to one database. Two databases must not share a folder: each would treat the files of the
 * other as unused and remove them (`UploadCleanup`).
 */
export class UploadFolder {
  private readonly marker: string;

  /**
   * @param folder the upload folder, which exists before `start`.
   * @param temporary a folder on the same file system, which exists as well.
   * @param folders the folders of the storage that contain files.
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
   * Assigns the folder to this database, if it is unassigned or has no files.
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
   * Checks that the folder has no files of another database.
   * @returns the id of the database, if it already has one.
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

  /** Ends the assignment, for a database that has just been emptied and has thereby lost its id. */
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

  /** Whether there is a file in the storage, of any database. */
  async hasFiles(): Promise<boolean> {
    for (const folder of this.folders) {
      for await (const _ of this.storage.list(folder)) return true;
    }
    return false;
  }
}
