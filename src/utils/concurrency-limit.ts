import { AppError } from './errors';

/** Does expensive work a few at a time; the rest waits in line, and a line that is too long refuses. */
export class ConcurrencyLimit {
  private active = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly maxActive: number,
    private readonly maxWaiting: number,
  ) {}

  /** @throws AppError unavailable when too many wait; what `work` throws */
  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.active < this.maxActive) this.active++;
    else await this.wait();
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      // Whoever waits longest takes the place over.
      if (next) next();
      else this.active--;
    }
  }

  private wait(): Promise<void> {
    if (this.waiting.length >= this.maxWaiting) {
      throw new AppError('unavailable', 'The server is busy. Try again.');
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}
