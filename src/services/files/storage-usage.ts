import type { FileStorage } from './file-storage';

/** How long a measurement is good, in milliseconds: it looks at every file. */
const MAX_AGE_MS = 10 * 60_000;

/** What uploads take. */
export interface Usage {
  files: number;
  bytes: number;
  measuredAt: Date;
}

/** How much there is in the storage of files: measured when somebody asks, and again when that has become old. */
export class StorageUsage {
  private last: Usage | undefined;
  private measuring: Promise<Usage> | undefined;

  constructor(private readonly storage: Pick<FileStorage, 'usage'>) {}

  /** The last measurement. Only the first one is waited for; an old one is replaced behind the caller's back. */
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
