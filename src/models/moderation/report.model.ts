import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import {
  idOut,
  idSchema,
  singleLineText,
  nextCursorOut,
  pageQuery,
  timestampOut,
} from '../kernel/common.model';

export const REPORT_CATEGORIES = [
  'spam',
  'harassment',
  'hate',
  'violence',
  'sexual_content',
  'self_harm',
  'illegal',
  'other',
] as const;

/** A report waits until a moderator takes it up, and then for what they make of it. */
export const REPORT_STATES = ['open', 'claimed', 'resolved'] as const;
export type ReportState = (typeof REPORT_STATES)[number];

/**
 * What becomes of a report. `mute` and `ban` are in the channel, `ban_from_group` is from its group, `ban_account`
 * from the server, by super admins alone.
 */
export const RESOLUTIONS = [
  'dismiss',
  'delete_message',
  'warn',
  'mute',
  'ban',
  'ban_from_group',
  'ban_account',
] as const;
export type Resolution = (typeof RESOLUTIONS)[number];

/** That somebody finds a message wrong. */
export interface ReportDocument {
  _id: ObjectId;
  messageId: ObjectId;
  channelId: ObjectId;
  /** Null in direct conversations. */
  groupId: ObjectId | null;
  reporterId: ObjectId;
  category: (typeof REPORT_CATEGORIES)[number];
  note: string;
  /** The message as it was then, whatever becomes of it. */
  message: { senderId: ObjectId; body: string; createdAt: Date; editedAt: Date | null };
  state: ReportState;
  /** Missing once it is resolved: until then nobody reports the same message a second time. */
  pending?: true;
  claimedBy: ObjectId | null;
  claimedAt: Date | null;
  resolution: { action: Resolution; reason: string; by: ObjectId; at: Date } | null;
  createdAt: Date;
}

export const reportInput = z
  .strictObject({
    category: z.enum(REPORT_CATEGORIES),
    note: singleLineText(0, 1000).default('').meta({ description: 'For the moderators.' }),
  })
  .meta({ id: 'ReportInput' });
export type ReportInput = z.output<typeof reportInput>;

export const reportParams = z.strictObject({ reportId: idSchema });
export type ReportParams = z.output<typeof reportParams>;

export const reportsQuery = pageQuery.extend({
  groupId: idSchema
    .optional()
    .meta({ description: 'Left out, it is the reports of the whole server, for super admins.' }),
  state: z.enum(REPORT_STATES).optional(),
  order: z.enum(['oldest', 'newest']).default('oldest').meta({ description: 'Which come first.' }),
});
export type ReportsQuery = z.output<typeof reportsQuery>;

const WITH_REASON: readonly Resolution[] = ['warn', 'mute', 'ban', 'ban_from_group', 'ban_account'];
const WITH_END: readonly Resolution[] = ['mute', 'ban', 'ban_from_group'];

export const resolveReportInput = z
  .strictObject({
    action: z.enum(RESOLUTIONS),
    reason: singleLineText(0, 500)
      .default('')
      .meta({ description: 'Told to the author of the message; it takes one to warn, to mute and to ban.' }),
    until: z.iso.datetime().optional().meta({
      description:
        'When a mute, or a ban from the channel or the group, ends by itself; never, if it is left out.',
    }),
  })
  .refine(({ action, reason }) => reason !== '' || !WITH_REASON.includes(action), {
    message: 'must say why',
    path: ['reason'],
  })
  .refine(
    ({ action, until }) => until === undefined || (WITH_END.includes(action) && new Date(until) > new Date()),
    {
      message: 'must be in the future, and is for a mute, or a ban from the channel or the group',
      path: ['until'],
    },
  )
  .meta({ id: 'ResolveReportInput' });
export type ResolveReportInput = z.output<typeof resolveReportInput>;

/** What the one who reports gets to see. */
export const reportReceiptSchema = z
  .strictObject({
    id: idOut,
    messageId: idOut,
    category: z.enum(REPORT_CATEGORIES),
    note: z.string(),
    createdAt: timestampOut,
  })
  .meta({ id: 'ReportReceipt' });
export type ReportReceipt = z.output<typeof reportReceiptSchema>;
export const reportReceiptReply = z.strictObject({ report: reportReceiptSchema });

/** A report as moderators see it. */
export const reportSchema = z
  .strictObject({
    ...reportReceiptSchema.shape,
    channelId: idOut,
    groupId: idOut.nullable().meta({ description: 'Null in direct conversations.' }),
    reporterId: idOut,
    message: z
      .strictObject({
        senderId: idOut,
        body: z.string(),
        createdAt: timestampOut,
        editedAt: timestampOut.nullable(),
      })
      .meta({ description: 'The message as it was when it was reported.' }),
    state: z.enum(REPORT_STATES),
    claimedBy: idOut.nullable(),
    claimedAt: timestampOut.nullable(),
    resolution: z
      .strictObject({ action: z.enum(RESOLUTIONS), reason: z.string(), by: idOut, at: timestampOut })
      .nullable(),
  })
  .meta({ id: 'Report' });
export type Report = z.output<typeof reportSchema>;
export const reportReply = z.strictObject({ report: reportSchema });
export const reportsReply = z.strictObject({ reports: z.array(reportSchema), nextCursor: nextCursorOut });

export function toReportReceipt(report: ReportDocument): ReportReceipt {
  return {
    id: report._id.toHexString(),
    messageId: report.messageId.toHexString(),
    category: report.category,
    note: report.note,
    createdAt: report.createdAt.toISOString(),
  };
}

export function toReport(report: ReportDocument): Report {
  const { message, resolution } = report;
  return {
    ...toReportReceipt(report),
    channelId: report.channelId.toHexString(),
    groupId: report.groupId?.toHexString() ?? null,
    reporterId: report.reporterId.toHexString(),
    message: {
      senderId: message.senderId.toHexString(),
      body: message.body,
      createdAt: message.createdAt.toISOString(),
      editedAt: message.editedAt?.toISOString() ?? null,
    },
    state: report.state,
    claimedBy: report.claimedBy?.toHexString() ?? null,
    claimedAt: report.claimedAt?.toISOString() ?? null,
    resolution: resolution && {
      action: resolution.action,
      reason: resolution.reason,
      by: resolution.by.toHexString(),
      at: resolution.at.toISOString(),
    },
  };
}
