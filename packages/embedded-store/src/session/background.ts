import type { Engine } from '../engine';
import { sweepDropped } from '../storage/sweeper';
import type { WriteSteps } from '../storage/writer';
import { SESSION_TIMEOUT_MINUTES } from './sessions';
import { TextMerger } from './text-merger';
import { expireDocuments } from './ttl';

/** Milliseconds between two rounds, as MongoDB's ttlMonitorSleepSecs. */
const ROUND_MS = 60_000;
const RETRIES_PER_STEP = 1_000;

/** The background work of the store. */
export interface Background {
  /** Starts a round now; resolves when it has finished. */
  round(): Promise<void>;
  /** Starts to remove the records of dropped collections and indexes. */
  sweepSoon(): void;
  stop(): Promise<void>;
}

/**
 * Starts the rounds, which remove expired documents, idle cursors and sessions, old retry records, and the records
 * of dropped collections and indexes; and moves buffered terms into the text indexes.
 */
export function startBackground(engine: Engine, report: (error: unknown) => void): Background {
  let last: Promise<void> = Promise.resolve();
  let stopped = false;
  const queue = (work: () => Promise<void>) => {
    last = last.then(() => (stopped ? undefined : work())).catch(report);
    return last;
  };
  const round = () => queue(() => oneRound(engine));
  const merger = new TextMerger(engine, report);
  const timer = setInterval(() => void round(), ROUND_MS);
  timer.unref();
  void queue(() => sweepDropped(engine));
  return {
    round,
    sweepSoon: () => void queue(() => sweepDropped(engine)),
    async stop() {
      stopped = true;
      clearInterval(timer);
      await merger.stop();
      await last;
    },
  };
}

async function oneRound(engine: Engine): Promise<void> {
  const now = Date.now();
  engine.cursors.sweep(now);
  engine.sessions.sweep(now);
  await expireDocuments(engine, new Date(now));
  await expireRetries(engine, now - SESSION_TIMEOUT_MINUTES * 60_000);
  await sweepDropped(engine);
}

async function expireRetries(engine: Engine, before: number): Promise<void> {
  await engine.writer.submit(function* (): WriteSteps<void> {
    while (engine.retries.expire(before, RETRIES_PER_STEP) === RETRIES_PER_STEP) {
      engine.writer.markChanged();
      yield undefined;
    }
    engine.writer.markChanged();
  });
}
