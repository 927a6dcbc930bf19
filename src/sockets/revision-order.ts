import { CountedCache } from '../utils/counted-cache';

/** Channels whose order is known at a time. */
const MAX_CHANNELS = 20_000;
/** How long a change waits for the ones before it, which other nodes have published. */
const MAX_WAIT_MS = 300;
/** Changes of one channel that wait at most. */
const MAX_WAITING = 1000;

interface Entry {
  /** The revision after the last one that was sent. */
  next: number;
  /** The changes that wait for earlier ones, by revision. */
  waiting: Map<number, () => void>;
  timer?: NodeJS.Timeout | undefined;
}

/**
 * Sends the changes of each channel in the order of their revisions. Different nodes publish them, so they may arrive in
 * another order, and a client that finds a gap has to call `sync`. A change waits for earlier ones for MAX_WAIT_MS at most:
 * they may have been lost.
 */
export class RevisionOrder {
  private readonly channels = new CountedCache<string, Entry>({
    max: MAX_CHANNELS,
    dispose: (entry) => release(entry),
  });

  /** @param isNeeded whether other nodes publish changes. Without them each change is sent at once. */
  constructor(private readonly isNeeded: () => boolean) {}

  /** Calls `send` when all earlier changes of the channel have been sent: usually before it returns. */
  pass(channelId: string, revision: number, send: () => void): void {
    if (!this.isNeeded()) {
      this.channels.delete(channelId);
      return send();
    }
    const entry = this.channels.get(channelId);
    if (!entry) {
      this.channels.set(channelId, { next: revision + 1, waiting: new Map() });
      return send();
    }
    // A client ignores a revision that it knows already.
    if (revision <= entry.next) {
      send();
      this.advance(entry, revision);
      return;
    }
    const earlier = entry.waiting.get(revision);
    entry.waiting.set(revision, earlier ? () => (earlier(), send()) : send);
    if (entry.waiting.size >= MAX_WAITING) release(entry);
    else if (!entry.timer) {
      entry.timer = setTimeout(() => release(entry), MAX_WAIT_MS);
      entry.timer.unref();
    }
  }

  /** Records a change that was sent outside of the order. */
  skip(channelId: string, revision: number): void {
    const entry = this.channels.get(channelId);
    if (entry) this.advance(entry, revision);
  }

  /** Sends everything that waits. */
  close(): void {
    this.channels.clear();
  }

  private advance(entry: Entry, revision: number): void {
    entry.next = Math.max(entry.next, revision + 1);
    for (let send; (send = entry.waiting.get(entry.next)); entry.next++) {
      entry.waiting.delete(entry.next);
      send();
    }
    if (entry.waiting.size === 0) stopTimer(entry);
  }
}

/** Sends what waits in the order of revisions, without the missing ones. */
function release(entry: Entry): void {
  stopTimer(entry);
  const waiting = [...entry.waiting].sort(([one], [other]) => one - other);
  entry.waiting.clear();
  for (const [revision, send] of waiting) {
    entry.next = revision + 1;
    send();
  }
}

function stopTimer(entry: Entry): void {
  clearTimeout(entry.timer);
  entry.timer = undefined;
}
