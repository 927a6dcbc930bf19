import type { CacheState } from '../../utils/counted-cache';
import { METRICS } from './metrics';
import type { Telemetry } from './telemetry';

/** What is known of a bounded queue. */
export interface QueueState {
  /** How many jobs wait. */
  readonly size: number;
  /** How many jobs run. */
  readonly running: number;
  /** How many jobs may wait. */
  readonly limit: number;
  /** How many jobs were refused since the start. */
  readonly refusals: number;
}

/** Adds a queue to the metrics. @param queue its name, in snake_case. */
export function observeQueue(telemetry: Telemetry, queue: string, state: QueueState): void {
  telemetry.gauge(METRICS.queueWaiting).observe({ queue }, () => state.size);
  telemetry.gauge(METRICS.queueRunning).observe({ queue }, () => state.running);
  telemetry.gauge(METRICS.queueLimit).observe({ queue }, () => state.limit);
  telemetry.counter(METRICS.queueRefusals).observe({ queue }, () => state.refusals);
}

/** Adds caches to the metrics. @param caches by their names, in snake_case. */
export function observeCaches(telemetry: Telemetry, caches: Readonly<Record<string, CacheState>>): void {
  const lookups = telemetry.counter(METRICS.cacheLookups);
  for (const [cache, state] of Object.entries(caches)) {
    lookups.observe({ cache, result: 'hit' }, () => state.hits);
    lookups.observe({ cache, result: 'miss' }, () => state.misses);
    telemetry.gauge(METRICS.cacheEntries).observe({ cache }, () => state.size);
    telemetry.gauge(METRICS.cacheLimit).observe({ cache }, () => state.max);
  }
}
