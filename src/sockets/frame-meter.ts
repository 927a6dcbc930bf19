/** The frames and bytes that may be sent within a time window. */
export interface FrameRate {
  windowMs: number;
  frames: number;
  bytes: number;
}

/** Counts sent frames and bytes in fixed time windows. */
export class FrameMeter {
  private frames = 0;
  private bytes = 0;
  private windowEnd = 0;

  constructor(private readonly rate: FrameRate) {}

  add(frames: number, bytes: number): void {
    this.renew();
    this.frames += frames;
    this.bytes += bytes;
  }

  /** Milliseconds until more may be sent; 0 if more may be sent now. */
  get waitMs(): number {
    this.renew();
    if (this.frames <= this.rate.frames && this.bytes <= this.rate.bytes) return 0;
    return this.windowEnd - Date.now();
  }

  private renew(): void {
    const now = Date.now();
    if (now < this.windowEnd) return;
    this.windowEnd = now + this.rate.windowMs;
    this.frames = 0;
    this.bytes = 0;
  }
}
