import type { ErrorGroup } from '../../models/operations/diagnostics.model';
import { describeError } from '../../utils/error-text';
import { toPublicError } from '../../utils/errors';
import { METRICS } from '../kernel/metrics';
import type { Counter, Telemetry } from '../kernel/telemetry';

/** The most groups that are kept: the most recent ones. */
const MAX_GROUPS = 200;

/** Groups the errors of this process since its start. They contain nothing that a caller has sent. */
export class RecentErrors {
  /** The most recent group is the last one. */
  private readonly groups = new Map<string, ErrorGroup>();
  private readonly byCode: Counter<'code'>;

  constructor(telemetry: Telemetry) {
    this.byCode = telemetry.counter(METRICS.errors);
  }

  /** Records an error. @param name the route or the socket event. */
  record(name: string, error: unknown, requestId: string | null): void {
    const { code } = toPublicError(error);
    this.byCode.add({ code });
    const text = describeError(error);
    const key = `${code} ${name} ${text}`;
    const now = new Date().toISOString();
    const group = this.groups.get(key) ?? {
      code,
      name,
      text,
      count: 0,
      firstAt: now,
      lastAt: now,
      requestId,
    };
    group.count++;
    group.lastAt = now;
    group.requestId = requestId;
    this.groups.delete(key);
    this.groups.set(key, group);
    const [oldest] = this.groups.keys();
    if (this.groups.size > MAX_GROUPS && oldest !== undefined) this.groups.delete(oldest);
  }

  /** Lists the groups, the most recent first. */
  list(): ErrorGroup[] {
    return [...this.groups.values()].reverse();
  }
}
