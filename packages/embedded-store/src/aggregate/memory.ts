import type { Value } from '../bson/types';
import { StoreError } from '../errors';

/** Bytes that one stage may use in MongoDB before it has to use the disk. */
const LIMIT = 100 * 1024 * 1024;

/** Counts the memory that a stage uses, and limits it. */
export class MemoryMeter {
  private bytes = 0;

  constructor(
    private readonly stage: string,
    private readonly unlimited: boolean,
  ) {}

  /** Counts a value that the stage keeps. Throws QueryExceededMemoryLimitNoDiskUseAllowed. */
  keep(value: Value | undefined): void {
    this.bytes += sizeOf(value);
    if (this.bytes > LIMIT && !this.unlimited) {
      throw new StoreError(
        'QueryExceededMemoryLimitNoDiskUseAllowed',
        `Exceeded memory limit for ${this.stage} of ${LIMIT} bytes, but did not opt in to use more. Pass allowDiskUse:true to opt in.`,
      );
    }
  }
}

const FLAT = 16;

/** The approximate size of a value as BSON, in bytes. */
function sizeOf(value: Value | undefined): number {
  if (typeof value === 'string') return FLAT + value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + sizeOf(item), FLAT);
  if (!(value instanceof Map)) return FLAT;
  let size = FLAT;
  for (const [key, item] of value) size += key.length + sizeOf(item);
  return size;
}
