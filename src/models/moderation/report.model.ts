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

/** The states of a report: `open` until a moderator claims it, `claimed` until it is resolved. */
export const REPORT_STATES = ['open', 'claimed', 'resolved'] as const;
export type ReportState = (typeof REPORT_STATES)[number];

/**
 * The actions that resolve a report. `mute` and `ban` apply to the channel, `ban_from_group` to its group, and
 * `ban_account` to the server, which requires a super admin.
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

/** A user's report of a message. */
export interface ReportDocument {
  _id: ObjectId;
  messageId: ObjectId;
  channelId: ObjectId;
  /** Null for direct conversations. */
  groupId: ObjectId | null;
  reporterId: ObjectId;
  category: (typeof REPORT_CATEGORIES)[number];
  note: string;
  /** A copy of the message at the time of the report, which is kept if the message changes. */
  message: { senderId: ObjectId; body: string; createdAt: Date; editedAt: Date | null };
  state: ReportState;
  /** Missing once the report is resolved. Until then, the same user cannot report the message a second time. */
  pending?: true;
  claimedBy: ObjectId | null;
  claimedAt: Date | null;
  resolution: { action: Resolution; reason: string; by: ObjectId; at: Date } | null;
  createdAt: Date;
}

export const reportInput = z
  .strictObject({
    category: z.enum(REPORT_CATEGORIES),
    note: singleLineText(0, 1000).default('').meta({ description: 'A note for the moderators.' }),
  })
  .meta({ id: 'ReportInput' });
export type ReportInput = z.output<typeof reportInput>;

export const reportParams = z.strictObject({ reportId: idSchema });
export type ReportParams = z.output<typeof reportParams>;

export const reportsQuery = pageQuery.extend({
  groupId: idSchema.optional().meta({
    description:
      'The group. Omit it for the reports of the whole server, which requires the role super admin.',
  }),
  state: z.enum(REPORT_STATES).optional(),
  order: z.enum(['oldest', 'newest']).default('oldest').meta({ description: 'Which reports come first.' }),
});
export type ReportsQuery = z.output<typeof reportsQuery>;

const WITH_REASON: readonly Resolution[] = ['warn', 'mute', 'ban', 'ban_from_group', 'ban_account'];
const WITH_END: readonly Resolution[] = ['mute', 'ban', 'ban_from_group'];

export const resolveReportInput = z
  .strictObject({
    action: z.enum(RESOLUTIONS),
    reason: singleLineText(0, 500).default('').meta({
      description:
        'The reason, which the author of the message is notified of. Required for warnings, mutes and bans.',
    }),
    until: z.iso.datetime().optional().meta({
      description:
        'When the mute, or the ban from the channel or the group, expires; omit it for an unlimited one.',
    }),
  })
  .refine(({ action, reason }) => reason !== '' || !WITH_REASON.includes(action), {
    message: 'must not be empty for this action',
    path: ['reason'],
  })
  .refine(
    ({ action, until }) => until === undefined || (WITH_END.includes(action) && new Date(until) > new Date()),
    {
      message:
        'must be in the future, and is only allowed for a mute or for a ban from the channel or the group',
      path: ['until'],
    },
  )
  .meta({ id: 'ResolveReportInput' });
export type ResolveReportInput = z.output<typeof resolveReportInput>;

/** A report as the user who made it sees it. */
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
    groupId: idOut.nullable().meta({ description: 'Null for direct conversations.' }),
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
