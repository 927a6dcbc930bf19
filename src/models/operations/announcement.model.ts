import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import {
  idOut,
  idSchema,
  singleLineText,
  multilineText,
  nextCursorOut,
  timestampOut,
} from '../kernel/common.model';

export const ANNOUNCEMENT_LEVELS = ['info', 'warning', 'critical'] as const;
export type AnnouncementLevel = (typeof ANNOUNCEMENT_LEVELS)[number];

/** An announcement to all users. */
export interface AnnouncementDocument {
  _id: ObjectId;
  title: string;
  body: string;
  level: AnnouncementLevel;
  createdBy: ObjectId;
  createdAt: Date;
  /** When it ends or ended; null if it has no end. */
  endsAt: Date | null;
}

export const createAnnouncementInput = z
  .strictObject({
    title: singleLineText(0, 120).default(''),
    body: multilineText(4000),
    level: z.enum(ANNOUNCEMENT_LEVELS),
    endsAt: z.iso
      .datetime()
      .optional()
      .meta({ description: 'When the announcement expires; omit it if it does not expire.' }),
  })
  .refine((input) => input.endsAt === undefined || new Date(input.endsAt) > new Date(), {
    message: 'must be in the future',
    path: ['endsAt'],
  })
  .meta({ id: 'CreateAnnouncementInput' });
export type CreateAnnouncementInput = z.output<typeof createAnnouncementInput>;

export const announcementParams = z.strictObject({ announcementId: idSchema });
export type AnnouncementParams = z.output<typeof announcementParams>;

export const announcementSchema = z
  .strictObject({
    id: idOut,
    title: z.string(),
    body: z.string(),
    level: z.enum(ANNOUNCEMENT_LEVELS),
    createdBy: idOut,
    createdAt: timestampOut,
    endsAt: timestampOut
      .nullable()
      .meta({ description: 'When the announcement ends or ended; null if it has no end.' }),
  })
  .meta({ id: 'Announcement' });
export type Announcement = z.output<typeof announcementSchema>;
export const announcementReply = z.strictObject({ announcement: announcementSchema });
export const currentAnnouncementsReply = z.strictObject({ announcements: z.array(announcementSchema) });
export const announcementsReply = currentAnnouncementsReply.extend({ nextCursor: nextCursorOut });

export function toAnnouncement(announcement: AnnouncementDocument): Announcement {
  return {
    id: announcement._id.toHexString(),
    title: announcement.title,
    body: announcement.body,
    level: announcement.level,
    createdBy: announcement.createdBy.toHexString(),
    createdAt: announcement.createdAt.toISOString(),
    endsAt: announcement.endsAt?.toISOString() ?? null,
  };
}
