import type { FileStorage } from './file-storage';

/** After what time the usage is measured again, which reads the size of every file. */
const MAX_AGE_MS = 10 * 60_000;

/** The number and size of stored files at a time. */
export interface Usage {
  files: number;
  bytes: number;
  measuredAt: Date;
}

/** Measures the storage when somebody asks for it, and caches the result. */
export class StorageUsage {
  private last: Usage | undefined;
  private measuring: Promise<Usage> | undefined;

  constructor(private readonly storage: Pick<FileStorage, 'usage'>) {}

  /** Returns the last measurement. Only the first call waits for one; an outdated one is replaced in the background. */
  async get(): Promise<Usage> {
    if (!this.last) return this.measure();
    if (Date.now() - this.last.measuredAt.getTime() > MAX_AGE_MS) void this.measure().catch(() => undefined);
    return this.last;
  }

  private measure(): Promise<Usage> {
    this.measuring ??= this.storage
      .usage()
      .then((usage) => (this.last = { ...usage, measuredAt: new Date() }))
      .finally(() => (this.measuring = undefined));
    return this.measuring;
  }
}
