import { access, constants, mkdir, open, opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ByteRange } from '../../models/files/upload.model';
import { isMissing, moveInto, writeTemporary } from '../../utils/disk';

/** A stored file that is open for reading. Whoever opened it closes it. */
export interface OpenFile {
  /** In bytes. */
  size: number;
  modifiedAt: Date;
  /** @param range the first and the last byte; all if it is left out. */
  read(range?: ByteRange): Readable;
  close(): Promise<void>;
}

/** A file in a list. */
export interface StoredFile {
  key: string;
  modifiedAt: Date;
}

/**
 * Where the content of files is kept, by key: `avatars/….webp`. Keys are made by the server: nothing of them
 * comes from a client unchecked. What a file means, and who may have it, stands in the database.
 */
export interface FileStorage {
  /** Stores a file whole or not at all; when this resolves, it is on disk. @throws AppError storage_full */
  put(key: string, content: Buffer): Promise<void>;
  /** As `put`, of a temporary file of this machine, which is gone then. @throws AppError storage_full */
  putFile(key: string, path: string): Promise<void>;
  /** @returns undefined when there is no such file. */
  open(key: string): Promise<OpenFile | undefined>;
  /** Removes a file; one that is not there counts as removed. */
  delete(key: string): Promise<void>;
  /** The files of a folder, in no order. */
  list(folder: string): AsyncIterable<StoredFile>;
  /** How many files there are, and their bytes. It looks at every file. */
  usage(): Promise<{ files: number; bytes: number }>;
}

/** Files in a folder of this machine, or of a file system that several nodes share. */
export class LocalFileStorage implements FileStorage {
  /**
   * @param root the folder.
   * @param temporary a folder on the same file system, for files that are being written or come in.
   * @param folders those that keys begin with.
   */
  constructor(
    private readonly root: string,
    private readonly temporary: string,
    private readonly folders: readonly string[],
  ) {}

  /** Makes the folders. @throws Error that names UPLOAD_DIR when one of them cannot be made or written. */
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
