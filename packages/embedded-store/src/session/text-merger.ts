import { setTimeout as sleep } from 'node:timers/promises';
import type { Engine } from '../engine';
import { moveTerms } from '../storage/text-merge';
import type { WriteSteps } from '../storage/writer';

/** Milliseconds without a write to a text index after which the buffered terms are moved. */
const QUIET_MS = 300;
/** Documents in the buffer above which it does not wait for a quiet moment. */
const MANY_DOCUMENTS = 4_096;
/** Documents in the buffer above which it does not rest between two steps. */
const TOO_MANY_DOCUMENTS = 8_192;
/** How much longer than a step it rests after it, so that it takes a small part of the time. */
const REST = 4;

/**
 * Moves terms from the change buffer into the text indexes in the background: in quiet moments, and under a steady
 * load when the buffer has become so large that searches would become slow.
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
      if (textBuffer.size < MANY_DOCUMENTS && performance.now() < quietAt) {
        await this.#sleep(quietAt - performance.now());
        continue;
      }
      const begun = performance.now();
      this.#after = await writer.submit(() => this.#step(this.#after));
      if (textBuffer.size < TOO_MANY_DOCUMENTS) await this.#sleep((performance.now() - begun) * REST);
    }
  }

  *#step(after: Buffer | undefined): WriteSteps<Buffer | undefined> {
    yield* [];
    this.engine.writer.markChanged();
    return moveTerms(this.engine, after);
  }

  #sleep(milliseconds: number): Promise<void> {
    return sleep(Math.max(1, milliseconds), undefined, { ref: false, signal: this.#stop.signal });
  }
}
