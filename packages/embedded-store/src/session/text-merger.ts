import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../engine';
import { moveTerms } from '../storage/text-merge';
import type { WriteSteps } from '../storage/writer';

/** Milliseconds without a write to a text index after which the buffered terms are moved. */
const QUIET_MS = 300;
/** How much longer than a step it rests after it, so that it takes a small part of the time. */
const REST = 4;

/**
 * Moves terms from the change buffer into the text indexes in the background: in quiet moments, and under a steady
 * load when searches would become slow, or the buffer large.
 */
export class TextMerger {
  #lastAdd = 0;
  #work: Promise<void> | undefined;
  #after: Buffer | undefined;
  readonly #stop = new AbortController();

  constructor(
    private readonly engine: Engine,
    private readonly report: (error: unknown) => void,
  ) {
    engine.textBuffer.onAdd = () => this.#added();
    if (engine.textBuffer.size > 0) this.#added();
  }

  /** Ends after the step that is running. What is left in the buffer is moved after the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  #added(): void {
    this.#lastAdd = performance.now();
    this.#work ??= this.#run()
      .catch((error: unknown) => {
        if (!this.#stop.signal.aborted) this.report(error);
      })
      .finally(() => (this.#work = undefined));
  }

  async #run(): Promise<void> {
    const { textBuffer, writer } = this.engine;
    while (textBuffer.size > 0 && !this.#stop.signal.aborted) {
      const quietAt = this.#lastAdd + QUIET_MS;
      if (textBuffer.pressure === 0 && performance.now() < quietAt) {
        await this.#sleep(quietAt - performance.now());
        continue;
      }
      const begun = performance.now();
      await writer.submit(() => this.#step());
      if (textBuffer.pressure < 2) await this.#sleep((performance.now() - begun) * REST);
    }
  }

  *#step(): WriteSteps<void> {
    yield* [];
    const { textBuffer, writer } = this.engine;
    writer.markChanged();
    const prefix = textBuffer.largePrefix;
    if (prefix) moveTerms(this.engine, { prefix });
    else this.#after = moveTerms(this.engine, { after: this.#after });
  }

  #sleep(milliseconds: number): Promise<void> {
    return sleep(Math.max(1, milliseconds), undefined, { ref: false, signal: this.#stop.signal });
  }
}
