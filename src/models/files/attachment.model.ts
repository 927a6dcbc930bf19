import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, timestampOut } from '../kernel/common.model';

/** Files on one message at most. */
export const MAX_ATTACHMENTS = 10;
/** Addresses that are given out at once: those of a page of history. */
const MAX_LINKED_FILES = 100;

/** What limits and the way to store it depend on. */
export const FILE_CATEGORIES = ['image', 'media', 'file'] as const;
export type FileCategory = (typeof FILE_CATEGORIES)[number];

/** What a file is, by its content. */
export interface ContentType {
  mediaType: string;
  category: FileCategory;
  /** Of text that is not in UTF-8. */
  charset?: 'utf-16';
}

export const TEXT = 'text/plain';

/** What may be uploaded: programs and whatever nobody knows are not on it. */
export const MEDIA_TYPES: Record<FileCategory, readonly string[]> = {
  image: ['image/jpeg', 'image/png', 'image/webp', 'image/gif', 'image/avif'],
  media: [
    'audio/aac',
    'audio/flac',
    'audio/mp4',
    'audio/mpeg',
    'audio/ogg',
    'audio/wav',
    'video/mp4',
    'video/ogg',
    'video/quicktime',
    'video/webm',
  ],
  file: [
    TEXT,
    'application/epub+zip',
    'application/gzip',
    'application/pdf',
    'application/rtf',
    'application/vnd.oasis.opendocument.presentation',
    'application/vnd.oasis.opendocument.spreadsheet',
    'application/vnd.oasis.opendocument.text',
    'application/vnd.openxmlformats-officedocument.presentationml.presentation',
    'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
    'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
    'application/x-7z-compressed',
    'application/x-bzip2',
    'application/x-tar',
    'application/x-xz',
    'application/zip',
  ],
};

export const ALLOWED_MEDIA_TYPES = FILE_CATEGORIES.flatMap((category) => MEDIA_TYPES[category]);

/** What a browser may show in its place: pictures that have been drawn anew, sound and video. */
export function isShownInline(mediaType: string): boolean {
  return MEDIA_TYPES.image.includes(mediaType) || MEDIA_TYPES.media.includes(mediaType);
}

/** What is told of a file on a message: kept in the message, so that reading it asks for nothing else. */
export interface StoredAttachment {
  uploadId: ObjectId;
  /** As its owner called it; for showing, never for finding. */
  name: string;
  /** By its content. */
  mediaType: string;
  /** In bytes, as it is downloaded. */
  size: number;
  /** Of an image, upright, in pixels. */
  width?: number;
  height?: number;
}

/**
 * A file that somebody has sent. Who may read it, the messages say that have it; it goes with the last of them
 * (docs/decisions/0028-files-belong-to-messages.md).
 */
export interface UploadDocument extends Omit<StoredAttachment, 'uploadId'> {
  _id: ObjectId;
  /** Who sent it, and whose quota it counts for. */
  userId: ObjectId;
  /** Of text that is not in UTF-8; part of the Content-Type of a download. */
  charset?: 'utf-16';
  /** What it takes of the quota, in bytes. */
  storedBytes: number;
  /** How many messages have it. Whoever adds or removes one writes it, so that two at once meet here. */
  uses: number;
  /** The scheduled message that is going to have it. Null unless there is one. */
  reservedFor: ObjectId | null;
  createdAt: Date;
}

export const attachmentSchema = z
  .strictObject({
    id: idOut,
    name: z.string().meta({ description: 'As its sender called it. Plain text.', example: 'plan.pdf' }),
    mediaType: z.string().meta({ description: 'By its content, not by its name.', example: 'image/jpeg' }),
    size: z.number().int().meta({ description: 'In bytes.' }),
    width: z.number().int().nullable().meta({ description: 'Of an image, in pixels.' }),
    height: z.number().int().nullable(),
    thumbnail: z.boolean().meta({ description: 'Whether there is a small picture of it: `?thumbnail`.' }),
  })
  .meta({ id: 'Attachment' });
export type Attachment = z.output<typeof attachmentSchema>;

export const attachmentReply = z.strictObject({ attachment: attachmentSchema });

/** What a message names the files by that it is to have. */
export const attachmentIdsInput = z
  .array(idSchema)
  .max(MAX_ATTACHMENTS)
  .refine((ids) => new Set(ids).size === ids.length, 'must not name one twice')
  .meta({ description: 'Own uploads (`POST /api/upload`) that no message has yet, in this order.' });

export const attachmentParams = z.strictObject({ attachmentId: idSchema });
export type AttachmentParams = z.output<typeof attachmentParams>;

const thumbnail = z
  .enum(['', 'true'], 'takes no value')
  .optional()
  .transform((text) => text !== undefined)
  .meta({ description: 'The small picture in its place; of images.' });

export const attachmentQuery = z.strictObject({ thumbnail });
export type AttachmentQuery = z.output<typeof attachmentQuery>;

export const linkedAttachmentQuery = z.strictObject({
  ticket: z.string().max(200).meta({ description: 'As it stands in the address that was given out.' }),
  thumbnail,
});
export type LinkedAttachmentQuery = z.output<typeof linkedAttachmentQuery>;

export const attachmentLinksInput = z
  .strictObject({ attachmentIds: z.array(idSchema).min(1).max(MAX_LINKED_FILES) })
  .meta({ id: 'AttachmentLinksInput' });
export type AttachmentLinksInput = z.output<typeof attachmentLinksInput>;

/** The path below which files are served to whoever has a ticket for one. */
export const FILES_PATH = '/uploads/files';

export const attachmentLinksReply = z.strictObject({
  links: z.array(
    z.strictObject({
      attachmentId: idOut,
      url: z.string().meta({
        description: 'For `<img>`, `<video>` and the like; with `&thumbnail` the small picture.',
        example: `${FILES_PATH}/6740f2a1c3b5d7e9f1a3b5c7?ticket=…`,
      }),
    }),
  ),
  expiresAt: timestampOut.meta({
    description: 'Until when these addresses are good: for 5 minutes at least.',
  }),
});
export type AttachmentLinks = z.output<typeof attachmentLinksReply>;

export function toAttachment({
  uploadId,
  name,
  mediaType,
  size,
  width,
  height,
}: StoredAttachment): Attachment {
  return {
    id: uploadId.toHexString(),
    name,
    mediaType,
    size,
    width: width ?? null,
    height: height ?? null,
    thumbnail: isImage({ mediaType }),
  };
}

/** What a message keeps of an upload. */
export function toStoredAttachment({
  _id,
  name,
  mediaType,
  size,
  width,
  height,
}: UploadDocument): StoredAttachment {
  return {
    uploadId: _id,
    name,
    mediaType,
    size,
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
  };
}

/** Whether it is a picture that has been drawn anew, and has a thumbnail. */
export function isImage({ mediaType }: Pick<StoredAttachment, 'mediaType'>): boolean {
  return mediaType.startsWith('image/');
}
