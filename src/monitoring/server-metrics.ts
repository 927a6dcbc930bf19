import { statfs } from 'node:fs/promises';
import type { Context } from '../context';
import { METRICS } from '../services/kernel/metrics';
import { cachedFor } from '../utils/cached-for';
import { VERSION } from '../utils/version';
import { processMetrics } from './process-metrics';

/** How long the size of the database is reported without asking for it again. */
const SIZE_LIFETIME_MS = 60_000;

/** Adds the metrics of the process as a whole to those of its services. */
export function observeServer(context: Context): void {
  const { telemetry, database, config } = context;
  const kind = database.isEmbedded ? 'embedded' : 'mongodb';
  telemetry.gauge(METRICS.buildInfo).observe({ version: VERSION, database: kind }, () => 1);
  telemetry.gauge(METRICS.accepting).observe({}, () => Number(context.accepting));
  const size = cachedFor(SIZE_LIFETIME_MS, () => database.size());
  for (const part of ['data', 'storage', 'indexes'] as const) {
    telemetry.gauge(METRICS.databaseBytes).observe({ part }, async () => (await size())[part]);
  }
  for (const [folder, path] of [
    ['data', config.dataDir],
    ['uploads', config.uploadDir],
  ] as const) {
    telemetry.gauge(METRICS.diskFreeBytes).observe({ folder }, async () => {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    });
  }
}

/** Returns all metrics, of Parley and of its process, in the text format of Prometheus. */
export async function readMetrics({ telemetry }: Context): Promise<string> {
  const [own, process] = await Promise.all([telemetry.text(), processMetrics()]);
  return own + process;
}
