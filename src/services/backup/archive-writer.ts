import { createHash, type Hash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { isTaken, moveInto } from '../../utils/disk';
import {
  BLOCK_BYTES,
  CHECKSUMS,
  END_OF_TAR,
  FORMAT,
  FORMAT_VERSION,
  headerOf,
  INTRODUCTION,
  MANIFEST,
  manifestSchema,
  paddingAfter,
  sealOf,
  type Manifest,
} from './archive-format';
import { Spool } from './spool';

/** The end of the name of an archive that is being written. */
export const PARTIAL = '.partial';

/** Content is hashed and written in pieces of this size, so that a server is not kept from other work for long. */
const PIECE_BYTES = 256 * 1024;

/** What is in the introduction, and again in the manifest. */
export type Introduction = Pick<Manifest, 'parleyVersion' | 'createdAt'>;

/** A finished archive. */
export interface WrittenArchive {
  path: string;
  /** In bytes. */
  size: number;
  manifest: Manifest;
}

/**
 * Writes an archive to a file with a temporary name, readable by this user alone. `finish` makes it durable and gives it
 * its name, so a file with that name is a whole archive.
 */
export class ArchiveWriter {
  private readonly all = createHash('sha256');
  private written = 0;
  private entries = 0;

  private constructor(
    private readonly path: string,
    private readonly partialPath: string,
    private readonly file: FileHandle,
    private readonly checksums: Spool,
    private readonly introduction: Introduction,
  ) {}

  /** @throws Error when the file exists, or its folder does not or cannot be written. */
  static async create(path: string, introduction: Introduction): Promise<ArchiveWriter> {
    if (await isTaken(path)) throw new Error(`${path} exists already.`);
    const partialPath = path + PARTIAL;
    const file = await open(partialPath, 'wx', 0o600);
    try {
      const checksums = await Spool.create(`${path}.checksums${PARTIAL}`);
      const writer = new ArchiveWriter(path, partialPath, file, checksums, introduction);
      const text = { format: FORMAT, formatVersion: FORMAT_VERSION, ...introduction };
      await writer.add(INTRODUCTION, Buffer.from(JSON.stringify(text, null, 2)));
      return writer;
    } catch (error) {
      await file.close();
      await rm(partialPath, { force: true });
      throw error;
    }
  }

  /** Creates a list that is removed with the temporary files of this archive. */
  spool(name: string): Promise<Spool> {
    return Spool.create(`${this.path}.${name}${PARTIAL}`);
  }

  /** Adds an entry. */
  async add(name: string, content: Buffer): Promise<void> {
    await this.addPieces(name, content.length, [content]);
  }

  /**
   * Adds an entry from pieces of content.
   * @param size the size of all pieces together. @throws Error when it is another one.
   */
  async addPieces(
    name: string,
    size: number,
    pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  ): Promise<void> {
    await this.checksums.add(`${await this.entry(name, size, pieces)}  ${name}`);
    this.entries++;
  }

  /**
   * Completes the archive: writes the checksums, the manifest and the seal, flushes the file to the disk, and gives it its
   * name.
   * @param describe returns the rest of the manifest.
   */
  async finish(
    description: Omit<Manifest, 'checksums' | 'format' | 'formatVersion' | keyof Introduction>,
  ): Promise<WrittenArchive> {
    const sha256 = await this.entry(CHECKSUMS, this.checksums.size, this.checksums.bytes());
    const manifest = manifestSchema.parse({
      format: FORMAT,
      formatVersion: FORMAT_VERSION,
      ...this.introduction,
      ...description,
      checksums: { entries: this.entries, sha256 },
    });
    const text = Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`);
    await this.entry(MANIFEST, text.length, [text]);
    await this.write(END_OF_TAR);
    const seal = sealOf(this.written, this.all.digest('hex'));
    await this.file.writeFile(seal);
    await this.file.sync();
    await this.file.close();
    await this.checksums.remove();
    await moveInto(this.partialPath, this.path);
    return { path: this.path, size: this.written + BLOCK_BYTES, manifest };
  }

  /** Removes the unfinished file. Failures are left to the removal of old unfinished files. */
  async discard(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await this.checksums.remove().catch(() => undefined);
    await rm(this.partialPath, { force: true }).catch(() => undefined);
  }

  /** Writes an entry. @returns the checksum of its content. */
  private async entry(
    name: string,
    size: number,
    pieces: AsyncIterable<Buffer> | Iterable<Buffer>,
  ): Promise<string> {
    await this.write(headerOf(name, size, new Date(this.introduction.createdAt)));
    const content = createHash('sha256');
    const start = this.written;
    for await (const piece of pieces) await this.write(piece, content);
    const length = this.written - start;
    if (length !== size) throw new Error(`${name} has ${length} bytes and not ${size}, as it should.`);
    await this.write(Buffer.alloc(paddingAfter(size)));
    return content.digest('hex');
  }

  private async write(content: Buffer, hash?: Hash): Promise<void> {
    for (let start = 0; start < content.length; start += PIECE_BYTES) {
      const piece = content.subarray(start, start + PIECE_BYTES);
      this.all.update(piece);
      hash?.update(piece);
      await this.file.writeFile(piece);
      this.written += piece.length;
    }
  }
}
