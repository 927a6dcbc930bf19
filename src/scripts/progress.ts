import { SingleBar } from 'cli-progress';

/** A progress bar on the terminal; without a terminal nothing is shown. It has a phase, and a value in it. */
export class Progress {
  private bar: SingleBar | undefined;
  private phase = '';

  /** Shows a value. A new phase has a bar of its own. */
  show(phase: string, value: number, total: number): void {
    if (phase !== this.phase) {
      this.stop();
      this.phase = phase;
      this.bar = new SingleBar({
        format: `${phase} {bar} {percentage}% | ETA {eta}s`,
        clearOnComplete: true,
      });
      this.bar.start(total, value);
      return;
    }
    this.bar?.setTotal(total);
    this.bar?.update(value);
  }

  stop(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
