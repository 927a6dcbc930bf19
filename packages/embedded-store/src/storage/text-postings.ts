import type { Scanner } from './scanner';
import type { Hit } from './text-top';

/** Reads an entry of a posting list; undefined at the end of the list. */
export interface StoredPostings {
  next(): Hit | undefined;
  scanner: Scanner;
}

/**
 * The documents with one term, best first: those in the index merged with those in the change buffer. After `pause`
 * both are read again in the current view, because documents move from the buffer into the index meanwhile, and the
 * list continues after the last hit that was returned.
 */
export class PostingList {
  #buffered: readonly Hit[] | undefined;
  #at = 0;
  #stored: Hit | undefined;
  #last: Hit | undefined;

  /** `readBuffered` returns the hits of the term in the change buffer, best first. */
  constructor(
    private readonly postings: StoredPostings,
    private readonly readBuffered: () => readonly Hit[],
  ) {}

  next(): Hit | undefined {
    if (!this.#buffered) {
      this.#buffered = this.readBuffered();
      this.#at = 0;
    }
    for (;;) {
      this.#stored ??= this.postings.next();
      const buffered = this.#buffered[this.#at];
      const isBuffered = buffered && (!this.#stored || compareHits(buffered, this.#stored) < 0);
      const hit = isBuffered ? buffered : this.#stored;
      if (isBuffered) this.#at++;
      else this.#stored = undefined;
      if (!hit) return undefined;
      if (this.#last && compareHits(hit, this.#last) <= 0) continue;
      this.#last = hit;
      return hit;
    }
  }

  pause(): void {
    // Also at the end of the index: what was buffered may be there now.
    this.postings.scanner.stepBack();
    this.#stored = undefined;
    this.#buffered = undefined;
  }
}

/** The order of a posting list: by descending score, then by record id. */
export function compareHits(a: Hit, b: Hit): number {
  return b.score - a.score || a.recordId - b.recordId;
}
