import type { Tree, View } from './environment';

/** One entry of a tree. */
export interface Entry {
  key: Buffer;
  value: Buffer;
}

/** A half-open range of keys, `lower` in and `upper` out, read in ascending or (reverse) descending order. */
export interface KeyRange {
  lower: Buffer;
  upper: Buffer;
  reverse: boolean;
}

/**
 * The current view of a query. It changes between two batches of a cursor, because a cursor holds no snapshot
 * between them.
 */
export interface CurrentView {
  view: View;
}

/**
 * Reads a range of a tree. After `pause` it holds no resources of the data file, and the next step continues after
 * the last key in the current view.
 */
export class Scanner {
  #iterator: Iterator<Entry> | undefined;
  #last: Buffer | undefined;
  /** The key before the last one, for `stepBack`. */
  #previous: Buffer | undefined;
  #done = false;

  constructor(
    private readonly tree: Tree,
    private readonly range: KeyRange,
    private readonly current: CurrentView,
    private readonly withValues: boolean,
  ) {}

  /** The next entry (its value is empty unless values were requested), or undefined at the end. */
  next(): Entry | undefined {
    if (this.#done) return undefined;
    this.#iterator ??= this.#open();
    const step = this.#iterator.next();
    if (step.done) {
      this.#done = true;
      this.#iterator = undefined;
      return undefined;
    }
    this.#previous = this.#last;
    this.#last = step.value.key;
    return step.value;
  }

  /** Releases the data file; `next` continues where it stopped. */
  pause(): void {
    this.#iterator?.return?.();
    this.#iterator = undefined;
  }

  /** Undoes the last step: the next one reads the entry again, in its state at that time. */
  stepBack(): void {
    this.pause();
    this.#last = this.#previous;
    this.#done = false;
  }

  #open(): Iterator<Entry> {
    const { lower, upper, reverse } = this.range;
    const options = { ...this.current.view, reverse };
    const bounds = reverse
      ? { start: this.#last ?? upper, exclusiveStart: true, end: lower, inclusiveEnd: true }
      : { start: this.#last ?? lower, exclusiveStart: this.#last !== undefined, end: upper };
    if (this.withValues) return this.tree.getRange({ ...options, ...bounds })[Symbol.iterator]();
    const keys = this.tree.getKeys({ ...options, ...bounds })[Symbol.iterator]();
    return keysAsEntries(keys);
  }
}

const NO_VALUE = Buffer.alloc(0);

function keysAsEntries(keys: Iterator<Buffer>): Iterator<Entry> {
  return {
    next() {
      const step = keys.next();
      return step.done
        ? { done: true, value: undefined }
        : { done: false, value: { key: step.value, value: NO_VALUE } };
    },
    return() {
      keys.return?.();
      return { done: true, value: undefined };
    },
  };
}
