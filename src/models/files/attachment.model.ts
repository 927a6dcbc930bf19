import type { ObjectId } from 'mongodb';
import { z } from 'zod';
import { idOut, idSchema, timestampOut } from '../kernel/common.model';

/** The maximum number of files in one message. */
export const MAX_ATTACHMENTS = 10;
/** The maximum number of links in one call: enough for a page of history. */
const MAX_LINKED_FILES = 100;

/** The categories of files, on which size limits and storage depend. */
export const FILE_CATEGORIES = ['image', 'media', 'file'] as const;
export type FileCategory = (typeof FILE_CATEGORIES)[number];

/** The type of a file, detected from its content. */
export interface ContentType {
  mediaType: string;
  category: FileCategory;
  /** Set for text that is not in UTF-8. */
  charset?: 'utf-16';
}

export const TEXT = 'text/plain';

/** The media types that may be uploaded. Executables and unknown types are not among them. */
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

/** Whether browsers may display the file inline: images, which the server has re-encoded, and audio and video. */
export function isShownInline(mediaType: string): boolean {
  return MEDIA_TYPES.image.includes(mediaType) || MEDIA_TYPES.media.includes(mediaType);
}

/** A file as part of a message. It is stored in the message, so that reading the message needs no other document. */
export interface StoredAttachment {
  uploadId: ObjectId;
  /** The name that its owner gave it. It is for display only, never for look-ups. */
  name: string;
  /** Detected from the content. */
  mediaType: string;
  /** The size of the download, in bytes. */
  size: number;
  /** The dimensions of an image after rotation, in pixels. */
  width?: number;
  height?: number;
}

/**
 * An uploaded file. Users who may read a message with it may read it; it is deleted with the last of these messages
 * (docs/decisions/0028-files-belong-to-messages.md).
 */
export interface UploadDocument extends Omit<StoredAttachment, 'uploadId'> {
  _id: ObjectId;
  /** The owner, against whose quota it counts. */
  userId: ObjectId;
  /** Set for text that is not in UTF-8. It is part of the Content-Type of a download. */
  charset?: 'utf-16';
  /** How much of the quota it uses, in bytes. */
  storedBytes: number;
  /** How many messages have it. Adding and removing one writes this field, so that concurrent changes conflict. */
  uses: number;
  /** The scheduled message that has reserved it; null if there is none. */
  reservedFor: ObjectId | null;
  createdAt: Date;
}

export const attachmentSchema = z
  .strictObject({
    id: idOut,
    name: z
      .string()
      .meta({ description: 'The name that the owner gave the file. Plain text.', example: 'plan.pdf' }),
    mediaType: z.string().meta({
      description: 'The media type, detected from the content and not from the name.',
      example: 'image/jpeg',
    }),
    size: z.number().int().meta({ description: 'The size in bytes.' }),
    width: z.number().int().nullable().meta({ description: 'The width of an image, in pixels.' }),
    height: z.number().int().nullable().meta({ description: 'The height of an image, in pixels.' }),
    thumbnail: z.boolean().meta({ description: 'Whether a thumbnail exists, which `?thumbnail` returns.' }),
  })
  .meta({ id: 'Attachment' });
export type Attachment = z.output<typeof attachmentSchema>;

export const attachmentReply = z.strictObject({ attachment: attachmentSchema });

/** The ids of the files that a new message is to have. */
export const attachmentIdsInput = z
  .array(idSchema)
  .max(MAX_ATTACHMENTS)
  .refine((ids) => new Set(ids).size === ids.length, 'must not contain an id twice')
  .meta({
    description:
      "The ids of the caller's own uploads (`POST /api/upload`) that are not part of a message yet, in the order of display.",
  });

export const attachmentParams = z.strictObject({ attachmentId: idSchema });
export type AttachmentParams = z.output<typeof attachmentParams>;

const thumbnail = z
  .enum(['', 'true'], 'takes no value')
  .optional()
  .transform((text) => text !== undefined)
  .meta({ description: 'Returns the thumbnail instead of the file. Only for images.' });

export const attachmentQuery = z.strictObject({ thumbnail });
export type AttachmentQuery = z.output<typeof attachmentQuery>;

export const linkedAttachmentQuery = z.strictObject({
  ticket: z
    .string()
    .max(200)
    .meta({ description: 'The ticket from the URL that `linkAttachments` returned.' }),
  thumbnail,
});
export type LinkedAttachmentQuery = z.output<typeof linkedAttachmentQuery>;

export const attachmentLinksInput = z
  .strictObject({ attachmentIds: z.array(idSchema).min(1).max(MAX_LINKED_FILES) })
  .meta({ id: 'AttachmentLinksInput' });
export type AttachmentLinksInput = z.output<typeof attachmentLinksInput>;

/** The path under which files are served to clients with a ticket. */
export const FILES_PATH = '/uploads/files';

export const attachmentLinksReply = z.strictObject({
  links: z.array(
    z.strictObject({
      attachmentId: idOut,
      url: z.string().meta({
        description:
          'The URL for `<img>`, `<video>` and similar elements. Append `&thumbnail` for the thumbnail.',
        example: `${FILES_PATH}/6740f2a1c3b5d7e9f1a3b5c7?ticket=…`,
      }),
    }),
  ),
  expiresAt: timestampOut.meta({
    description: 'When the URLs expire: at the earliest after 5 minutes.',
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

/** Returns what a message stores of an upload. */
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

/** Whether the file is an image, which the server has re-encoded and made a thumbnail of. */
export function isImage({ mediaType }: Pick<StoredAttachment, 'mediaType'>): boolean {
  return mediaType.startsWith('image/');
}
