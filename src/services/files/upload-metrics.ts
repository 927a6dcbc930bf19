import type { UploadedFile } from '../../models/files/upload.model';
import { toPublicError } from '../../utils/errors';
import { METRICS } from '../kernel/metrics';
import type { Counter, Histogram, Telemetry } from '../kernel/telemetry';

/** Counts and measures uploads that were received completely. */
export class UploadMetrics {
  private readonly outcomes: Counter<'kind' | 'outcome'>;
  private readonly bytes: Counter<'kind'>;
  private readonly durations: Histogram<'kind'>;

  constructor(telemetry: Telemetry) {
    this.outcomes = telemetry.counter(METRICS.uploads);
    this.bytes = telemetry.counter(METRICS.uploadBytes);
    this.durations = telemetry.histogram(METRICS.uploadDurations);
  }

  /** Runs the work that checks and stores a file. @throws what the work throws */
  async measure<Result>(
    kind: 'attachment' | 'avatar',
    file: UploadedFile,
    work: () => Promise<Result>,
  ): Promise<Result> {
    const start = performance.now();
    this.bytes.add({ kind }, file.size);
    try {
      const result = await work();
      this.outcomes.add({ kind, outcome: 'stored' });
      this.durations.record({ kind }, (performance.now() - start) / 1000);
      return result;
    } catch (error) {
      this.outcomes.add({ kind, outcome: toPublicError(error).code });
      throw error;
    }
  }
}
