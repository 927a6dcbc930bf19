import { open, rm, type FileHandle } from 'node:fs/promises';
import { createInterface } from 'node:readline';

/** The size at which lines are written to the file, in bytes. */
const BUFFER_BYTES = 64 * 1024;

/** A list of lines that may be too long for the memory: it is written to a temporary file, and read from its beginning. */
export class Spool {
  private waiting = '';
  /** The size of all lines in bytes. */
  size = 0;

  private constructor(
    private readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** Creates the file, readable by this user alone. */
  static async create(path: string): Promise<Spool> {
    return new Spool(path, await open(path, 'wx+', 0o600));
  }

  /** Adds a line, which contains no line break. */
  async add(line: string): Promise<void> {
    this.waiting += `${line}\n`;
    this.size += Buffer.byteLength(line) + 1;
    if (this.waiting.length >= BUFFER_BYTES) await this.flush();
  }

  /** Reads all lines. */
  async *lines(): AsyncGenerator<string> {
    await this.flush();
    yield* createInterface({ input: this.stream(), crlfDelay: Infinity });
  }

  /** Reads all bytes. */
  async *bytes(): AsyncGenerator<Buffer> {
    await this.flush();
    yield* this.stream() as AsyncIterable<Buffer>;
  }

  /** Closes and removes the file. */
  async remove(): Promise<void> {
    await this.file.close();
    await rm(this.path, { force: true });
  }

  private stream() {
    return this.file.createReadStream({ start: 0, autoClose: false });
  }

  private async flush(): Promise<void> {
    const text = this.waiting;
    this.waiting = '';
    // Not at the current position of the file, which reading changes.
    if (text !== '') await this.file.appendFile(text);
  }
}
