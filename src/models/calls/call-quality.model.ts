import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, timestampOut } from '../kernel/common.model';
import { MAX_JOINED } from '../video-call.model';

/** What clients measure of the media from another participant, with the highest value that is accepted. */
const METRIC_LIMITS = {
  bitrateKbps: 1_000_000,
  packetLossPercent: 100,
  roundTripMs: 60_000,
  jitterMs: 60_000,
} as const;
export type Metric = keyof typeof METRIC_LIMITS;
export const METRICS = Object.keys(METRIC_LIMITS) as Metric[];

const METRIC_DESCRIPTIONS: Record<Metric, string> = {
  bitrateKbps: 'The media received from them, in kilobits per second.',
  packetLossPercent: 'The part of their packets that was lost, in percent.',
  roundTripMs: 'The time to them and back, in milliseconds.',
  jitterMs: 'The variation of the delay of their packets, in milliseconds.',
};

function metricFields<Field extends z.ZodType>(fieldOf: (metric: Metric) => Field): Record<Metric, Field> {
  return Object.fromEntries(METRICS.map((metric) => [metric, fieldOf(metric)])) as Record<Metric, Field>;
}

const qualityReport = z.strictObject({
  userId: idSchema.meta({ description: 'The other participant.' }),
  ...metricFields((metric) =>
    z
      .number()
      .min(0)
      .max(METRIC_LIMITS[metric])
      .optional()
      .meta({ description: METRIC_DESCRIPTIONS[metric] }),
  ),
});

const reports = z
  .array(qualityReport)
  .min(1)
  .max(MAX_JOINED)
  .refine(
    (all) => new Set(all.map(({ userId }) => userId)).size === all.length,
    'must name each user once at most',
  )
  .meta({ description: 'What was measured since the last report, one for each other participant.' });

export const reportCallQualityInput = z.strictObject({ reports }).meta({ id: 'ReportCallQualityInput' });
/** What a client measured of the media from one other participant. */
export type QualityReport = z.output<typeof qualityReport>;
export type ReportCallQualityInput = z.output<typeof reportCallQualityInput>;

/** The payload of the socket event, and its answer. */
export const reportCallQualityEvent = z.strictObject({ callId: idSchema, reports });
export const callQualityData = z.strictObject({});

/** The values of one metric in all reports about a pair. */
export interface MetricSummary {
  count: number;
  sum: number;
  min: number;
  max: number;
  last: number;
}

/** What one participant of a call measured of another one. Its size does not depend on the number of reports. */
export interface CallQualityDocument extends Partial<Record<Metric, MetricSummary>> {
  _id: ObjectId;
  callId: ObjectId;
  /** The channel of the call, with which it is deleted. */
  channelId: ObjectId;
  reporterId: ObjectId;
  remoteId: ObjectId;
  /** The number of reports. */
  count: number;
  createdAt: Date;
  updatedAt: Date;
}

const metricSummary = z
  .strictObject({ average: z.number(), min: z.number(), max: z.number(), last: z.number() })
  .meta({ id: 'CallMetric' });

export const callQualitySchema = z
  .strictObject({
    reporterId: idOut.meta({ description: 'The participant who measured.' }),
    userId: idOut.meta({ description: 'The participant whose media they measured.' }),
    reports: z.number().int(),
    firstAt: timestampOut,
    lastAt: timestampOut,
    ...metricFields((metric) =>
      metricSummary
        .nullable()
        .meta({ description: `${METRIC_DESCRIPTIONS[metric]} Null if it was never reported.` }),
    ),
  })
  .meta({ id: 'CallQuality' });
export type CallQuality = z.output<typeof callQualitySchema>;
export const callQualityReply = z.strictObject({ quality: z.array(callQualitySchema) });

export function toCallQuality(stored: CallQualityDocument): CallQuality {
  return {
    reporterId: stored.reporterId.toHexString(),
    userId: stored.remoteId.toHexString(),
    reports: stored.count,
    firstAt: stored.createdAt.toISOString(),
    lastAt: stored.updatedAt.toISOString(),
    bitrateKbps: summaryOf(stored.bitrateKbps),
    packetLossPercent: summaryOf(stored.packetLossPercent),
    roundTripMs: summaryOf(stored.roundTripMs),
    jitterMs: summaryOf(stored.jitterMs),
  };
}

function summaryOf(summary: MetricSummary | undefined): z.output<typeof metricSummary> | null {
  if (!summary) return null;
  const { count, sum, min, max, last } = summary;
  return { average: sum / count, min, max, last };
}
