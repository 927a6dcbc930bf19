import type { Value } from '../bson/types';
import { StoreError } from '../errors';

/** Bytes that MongoDB gives one stage before it would have to use the disk. */
const LIMIT = 100 * 1024 * 1024;

/** Counts what a stage keeps, and refuses to let it take all the memory there is. */
export class MemoryMeter {
  private bytes = 0;

  constructor(
    private readonly stage: string,
    private readonly unlimited: boolean,
  ) {}

  /** Notes that a value is kept. Throws QueryExceededMemoryLimitNoDiskUseAllowed. */
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

/** About how many bytes a value would take as BSON. */
function sizeOf(value: Value | undefined): number {
  if (typeof value === 'string') return FLAT + value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + sizeOf(item), FLAT);
  if (!(value instanceof Map)) return FLAT;
  let size = FLAT;
  for (const [key, item] of value) size += key.length + sizeOf(item);
  return size;
}
