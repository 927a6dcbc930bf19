import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { Header } from 'tar';
import {
  ArchiveError,
  BLOCK_BYTES,
  END_OF_TAR,
  FORMAT_VERSION,
  INTRODUCTION,
  introductionSchema,
  paddingAfter,
  readSeal,
} from './archive-format';
import { isMissing } from '../../utils/disk';

const CHUNK_BYTES = 256 * 1024;

/** An entry of an archive. Its content is read before the next entry. */
export interface ArchiveEntry {
  name: string;
  /** In bytes. */
  size: number;
  /** Reads the content in pieces. */
  pieces(): AsyncGenerator<Buffer>;
  /** Reads the whole content. @throws ArchiveError when it is larger than `limit`. */
  content(limit: number): Promise<Buffer>;
}

/** Reads an archive from its beginning to its end. */
export class ArchiveReader {
  private readonly all: Hash = createHash('sha256');
  private position = 0;
  private buffered: Buffer = Buffer.alloc(0);
  private lastName = '';

  private constructor(
    private readonly file: FileHandle,
    /** The length of the tar file, and the checksum that it must have. */
    private readonly seal: { bytes: number; sha256: string },
  ) {}

  /** @throws ArchiveError when the file does not exist, has no seal or is of another version. */
  static async open(path: string): Promise<ArchiveReader> {
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch (error) {
      if (isMissing(error)) throw new ArchiveError(`There is no file ${path}.`);
      throw error;
    }
    try {
      const { size } = await file.stat();
      const block = Buffer.alloc(BLOCK_BYTES);
      const start = size - BLOCK_BYTES;
      if (start > 0) await file.read(block, 0, BLOCK_BYTES, start);
      const seal = readSeal(block);
      const reader = new ArchiveReader(file, seal ?? { bytes: start, sha256: '' });
      if (seal) {
        await reader.requireVersion();
        if (seal.bytes === start) return reader;
      }
      throw new ArchiveError(
        'The archive is incomplete, or no backup of Parley: its last block is missing or damaged.',
      );
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** Bytes read so far, and of the whole archive. */
  get progress(): { done: number; total: number } {
    return { done: this.position - this.buffered.length, total: this.seal.bytes };
  }

  /** Reads the entries in their order, and then checks that the tar file ends properly. @throws ArchiveError */
  async *entries(): AsyncGenerator<ArchiveEntry> {
    for (;;) {
      const block = await this.take(BLOCK_BYTES);
      if (block.equals(END_OF_TAR.subarray(0, BLOCK_BYTES))) break;
      const { name, size } = this.readHeader(block);
      let left = size;
      const pieces = async function* (this: ArchiveReader): AsyncGenerator<Buffer> {
        while (left > 0) {
          const piece = await this.takeUpTo(left);
          left -= piece.length;
          yield piece;
        }
      }.bind(this);
      const content = async (limit: number): Promise<Buffer> => {
        if (size > limit) throw new ArchiveError(`The part ${name} is too large: ${size} bytes.`);
        const all: Buffer[] = [];
        for await (const piece of pieces()) all.push(piece);
        return Buffer.concat(all);
      };
      yield { name, size, pieces, content };
      for await (const _ of pieces());
      await this.take(paddingAfter(size));
      this.lastName = name;
    }
    await this.take(BLOCK_BYTES);
    if (this.progress.done !== this.seal.bytes) throw this.damage();
  }

  /** Whether the whole tar file, which has been read, has the checksum of the seal. */
  isIntact(): boolean {
    return this.all.digest('hex') === this.seal.sha256;
  }

  /** Refuses an archive of another format, before its parts are read by the rules of this one. */
  private async requireVersion(): Promise<void> {
    const block = Buffer.alloc(BLOCK_BYTES);
    await this.file.read(block, 0, BLOCK_BYTES, 0);
    const { name, size } = this.readHeader(block);
    if (name !== INTRODUCTION || size > CHUNK_BYTES) throw this.damage();
    const text = Buffer.alloc(size);
    await this.file.read(text, 0, size, BLOCK_BYTES);
    const introduction = parseJson(text, INTRODUCTION);
    if (introductionSchema.safeParse(introduction).success) return;
    const { formatVersion } = (introduction ?? {}) as { formatVersion?: unknown };
    if (formatVersion === FORMAT_VERSION) throw new ArchiveError(`The part ${INTRODUCTION} is damaged.`);
    throw new ArchiveError(
      `The archive has format version ${String(formatVersion)}; this version of Parley reads version ${FORMAT_VERSION}.`,
    );
  }

  private readHeader(block: Buffer): { name: string; size: number } {
    let header: Header | undefined;
    try {
      header = new Header(block);
    } catch {
      // A number that is malformed, which it reads before it looks at the checksum.
    }
    const { path: name, size = -1, type, cksumValid } = header ?? {};
    const left = this.seal.bytes - this.progress.done;
    if (!cksumValid || name === undefined || type !== 'File' || size < 0 || size > left) throw this.damage();
    return { name, size };
  }

  private damage(): ArchiveError {
    const place = this.lastName === '' ? 'at its beginning' : `after the part ${this.lastName}`;
    return new ArchiveError(`The archive is damaged ${place}.`);
  }

  /** Takes exactly so many bytes. */
  private async take(bytes: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let left = bytes; left > 0;) {
      const piece = await this.takeUpTo(left);
      left -= piece.length;
      pieces.push(piece);
    }
    return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  }

  /** Takes at most so many bytes, and at least one. */
  private async takeUpTo(bytes: number): Promise<Buffer> {
    if (this.buffered.length === 0) this.buffered = await this.readChunk();
    const piece = this.buffered.subarray(0, bytes);
    this.buffered = this.buffered.subarray(piece.length);
    return piece;
  }

  private async readChunk(): Promise<Buffer> {
    const wanted = Math.min(CHUNK_BYTES, this.seal.bytes - this.position);
    // A new buffer each time: the pieces are parts of it.
    const { bytesRead, buffer } = await this.file.read(Buffer.alloc(wanted), 0, wanted, this.position);
    if (bytesRead === 0) throw this.damage();
    this.position += bytesRead;
    const chunk = buffer.subarray(0, bytesRead);
    this.all.update(chunk);
    return chunk;
  }
}

/** Reads a part that is JSON. @throws ArchiveError */
export function parseJson(content: Buffer, name: string): unknown {
  try {
    return JSON.parse(content.toString('utf8'));
  } catch {
    throw new ArchiveError(`The part ${name} is damaged.`);
  }
}
