import { ObjectId, type UpdateFilter } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import {
  METRICS,
  toCallQuality,
  type CallQuality,
  type CallQualityDocument,
  type QualityReport,
  type ReportCallQualityInput,
} from '../../models/calls/call-quality.model';
import type { Caller } from '../../models/identity/session.model';
import type { VideoCallDocument } from '../../models/video-call.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { Clock } from '../kernel/background-job';
import type { ThrottleService } from '../operations/throttle.service';
import type { CallHistory } from './call-history';
import type { CallMetrics } from './call-metrics';
import { participantOf } from './call-changes';
import type { CallStore } from './call-store';

/** For how long after leaving a call its last measurements are accepted. */
const LATE_MS = 60_000;

/** The dependencies of CallQualityService. */
export interface CallQualityServiceDeps {
  collections: Collections;
  access: Access;
  history: CallHistory;
  store: CallStore;
  throttle: Pick<ThrottleService, 'countQualityReport'>;
  callMetrics: CallMetrics;
  clock: Clock;
}

/** Stores what participants of calls measure of each other, and shows it to super admins. */
export class CallQualityService {
  constructor(private readonly deps: CallQualityServiceDeps) {}

  /**
   * Adds measurements of a participant who is in the call, or left it less than a minute ago.
   * @throws AppError not_found, not_in_call, bad_request if they are about others than participants, rate_limited
   */
  async report(caller: Caller, callId: string, { reports }: ReportCallQualityInput): Promise<void> {
    const call = await this.deps.history.find(caller, callId);
    this.requireParticipants(caller, call, reports);
    await this.deps.throttle.countQualityReport(callId, caller.userId.toHexString());
    try {
      await this.write(caller, call, reports);
    } catch (error) {
      // Another report of the same pair was the first at the same moment.
      if (duplicateIndex(error) !== 'pair_unique') throw error;
      await this.write(caller, call, reports);
    }
    this.deps.callMetrics.recordQuality(reports);
  }

  /** The measurements of a call, by pairs of participants. @throws AppError forbidden, not_found */
  async get(caller: Caller, callId: string): Promise<CallQuality[]> {
    this.deps.access.requireSuperAdmin(caller);
    const { _id } = await this.deps.store.get(new ObjectId(callId));
    const stored = await this.deps.collections.callQuality.find({ callId: _id }).toArray();
    return stored.map(toCallQuality);
  }

  private requireParticipants({ userId }: Caller, call: VideoCallDocument, reports: QualityReport[]): void {
    const own = participantOf(call, userId);
    const leftAt = own?.state === 'left' ? own.leftAt : null;
    const isLate = leftAt !== null && this.deps.clock.now() - leftAt.getTime() <= LATE_MS;
    if (own?.state !== 'joined' && !isLate) throw new AppError('not_in_call', 'You are not in this call.');
    for (const { userId: remoteId } of reports) {
      const remote = participantOf(call, new ObjectId(remoteId));
      if (!remote?.joinedAt || remote === own) {
        throw new AppError('bad_request', 'Report the quality of other people who are in the call.');
      }
    }
  }

  private async write(
    { userId }: Caller,
    { _id: callId, channelId }: VideoCallDocument,
    reports: QualityReport[],
  ): Promise<void> {
    const now = new Date(this.deps.clock.now());
    await this.deps.collections.callQuality.bulkWrite(
      reports.map((report) => ({
        updateOne: {
          filter: { callId, reporterId: userId, remoteId: new ObjectId(report.userId) },
          update: additionOf(report, channelId, now),
          upsert: true,
        },
      })),
      { ordered: false },
    );
  }
}

/** The update that adds one report to those that are stored. */
function additionOf(
  report: QualityReport,
  channelId: ObjectId,
  now: Date,
): UpdateFilter<CallQualityDocument> {
  const [sums, minima, maxima, lasts]: Record<string, number>[] = [{ count: 1 }, {}, {}, {}];
  for (const metric of METRICS) {
    const value = report[metric];
    if (value === undefined) continue;
    sums![`${metric}.count`] = 1;
    sums![`${metric}.sum`] = value;
    minima![`${metric}.min`] = value;
    maxima![`${metric}.max`] = value;
    lasts![`${metric}.last`] = value;
  }
  return {
    $inc: sums,
    $min: minima,
    $max: maxima,
    $set: { ...lasts, channelId, updatedAt: now },
    $setOnInsert: { createdAt: now },
  } as UpdateFilter<CallQualityDocument>;
}
