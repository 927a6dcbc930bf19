/** Milliseconds after which it rings in any case: another node may have set something, or the clock have moved. */
const LONGEST_WAIT = 60_000;

/**
 * Rings when something is due. What is due stands elsewhere, in the database, so nothing is lost with the process:
 * it rings once at the start, and again for what the rings before could not do.
 */
export class Alarm {
  private timer: NodeJS.Timeout | undefined;
  /** When the timer ends. */
  private due = Infinity;
  private working: Promise<void> = Promise.resolve();
  private running = false;

  /**
   * @param ring does what is due by now, and tells when the next is; undefined if nothing is known to come.
   * @param failed is told why a ring could not do its work. It is tried again.
   */
  constructor(
    private readonly ring: () => Promise<Date | undefined>,
    private readonly failed: (error: unknown) => void,
  ) {}

  start(): void {
    this.running = true;
    this.set(new Date());
  }

  /** Something is due at this time; an earlier time that is set already stays. Before the start it does nothing. */
  set(at: Date): void {
    if (!this.running || at.getTime() >= this.due) return;
    clearTimeout(this.timer);
    this.due = at.getTime();
    const wait = Math.min(Math.max(this.due - Date.now(), 0), LONGEST_WAIT);
    this.timer = setTimeout(() => {
      this.due = Infinity;
      this.working = this.working.then(() => this.work());
    }, wait);
  }

  /** Resolves when no ring is under way, and none comes any more. */
  async stop(): Promise<void> {
    this.running = false;
    clearTimeout(this.timer);
    this.due = Infinity;
    await this.working;
  }

  private async work(): Promise<void> {
    if (!this.running) return;
    const latest = Date.now() + LONGEST_WAIT;
    try {
      const next = await this.ring();
      this.set(new Date(Math.min(next?.getTime() ?? latest, latest)));
    } catch (error) {
      this.failed(error);
      this.set(new Date(latest));
    }
  }
}
