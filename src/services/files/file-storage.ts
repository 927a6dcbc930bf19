import { access, constants, mkdir, open, opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ByteRange } from '../../models/files/upload.model';
import { isMissing, moveInto, writeTemporary } from '../../utils/disk';

/** A stored file that is open for reading. The caller that opened it closes it. */
export interface OpenFile {
  /** In bytes. */
  size: number;
  modifiedAt: Date;
  /** @param range the first and the last byte; by default the whole file. */
  read(range?: ByteRange): Readable;
  close(): Promise<void>;
}

/** A file in a listing. */
export interface StoredFile {
  key: string;
  modifiedAt: Date;
}

/**
 * Stores the content of files by key, such as `avatars/….webp`. Keys are created by the server and contain nothing
 * unchecked from clients. The database records what a file is and who may read it.
 */
export interface FileStorage {
  /** Stores a file whole or not at all; when this resolves, it is on disk. @throws AppError storage_full */
  put(key: string, content: Buffer): Promise<void>;
  /** Moves a temporary file of this machine into the storage; otherwise as `put`. @throws AppError storage_full */
  putFile(key: string, path: string): Promise<void>;
  /** Opens a file. @returns undefined when it does not exist. */
  open(key: string): Promise<OpenFile | undefined>;
  /** Removes a file, if it exists. */
  delete(key: string): Promise<void>;
  /** Lists the files of a folder, in no particular order. */
  list(folder: string): AsyncIterable<StoredFile>;
  /** Counts the files and their bytes. It reads the size of every file. */
  usage(): Promise<{ files: number; bytes: number }>;
}

/** Stores files in a folder of this machine, or of a file system that several nodes share. */
export class LocalFileStorage implements FileStorage {
  /**
   * @param root the folder of the storage.
   * @param temporary a folder on the same file system, for files that are being written or uploaded.
   * @param folders the folders in which files are stored: keys begin with them.
   */
  constructor(
    private readonly root: string,
    private readonly temporary: string,
    private readonly folders: readonly string[],
  ) {}

  /** Creates the folders. @throws Error that names UPLOAD_DIR when one of them cannot be created or written. */
  async start(): Promise<void> {
    try {
      for (const folder of [this.temporary, ...this.paths()]) {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await access(folder, constants.R_OK | constants.W_OK | constants.X_OK);
      }
    } catch (error) {
      const message = `UPLOAD_DIR ${this.root} cannot be written: ${(error as Error).message}`;
      throw new Error(message, { cause: error });
    }
  }

  async put(key: string, content: Buffer): Promise<void> {
    const { path } = await writeTemporary(this.temporary, async (file) => {
      await file.writeFile(content);
      await file.sync();
    });
    await moveInto(path, join(this.root, key));
  }

  async putFile(key: string, path: string): Promise<void> {
    const file = await open(path, 'r+');
    await file.sync().finally(() => file.close());
    await moveInto(path, join(this.root, key));
  }

  async open(key: string): Promise<OpenFile | undefined> {
    const file = await open(join(this.root, key), 'r').catch(undefinedIfMissing);
    if (!file) return undefined;
    try {
      const { size, mtime } = await file.stat();
      return {
        size,
        modifiedAt: mtime,
        read: (range) => file.createReadStream({ autoClose: false, ...range }),
        close: () => file.close(),
      };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async delete(key: string): Promise<void> {
    await rm(join(this.root, key), { force: true });
  }

  async *list(folder: string): AsyncGenerator<StoredFile> {
    const entries = await opendir(join(this.root, folder)).catch(undefinedIfMissing);
    if (!entries) return;
    for await (const entry of entries) {
      const key = `${folder}/${entry.name}`;
      const found = entry.isFile() ? await stat(join(this.root, key)).catch(undefinedIfMissing) : undefined;
      if (found) yield { key, modifiedAt: found.mtime };
    }
  }

  async usage(): Promise<{ files: number; bytes: number }> {
    const total = { files: 0, bytes: 0 };
    for (const folder of this.paths()) {
      const entries = await opendir(folder).catch(undefinedIfMissing);
      for await (const entry of entries ?? []) {
        const found = entry.isFile()
          ? await stat(join(folder, entry.name)).catch(undefinedIfMissing)
          : undefined;
        if (!found) continue;
        total.files++;
        total.bytes += found.size;
      }
    }
    return total;
  }

  private paths(): string[] {
    return this.folders.map((name) => join(this.root, name));
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
