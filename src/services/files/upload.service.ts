import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  FILES_PATH,
  isImage,
  toAttachment,
  toStoredAttachment,
  type Attachment,
  type AttachmentLinks,
  type FileCategory,
  type ContentType,
  type UploadDocument,
} from '../../models/files/attachment.model';
import type { Caller } from '../../models/identity/session.model';
import type { UploadedFile } from '../../models/files/upload.model';
import { AppError } from '../../utils/errors';
import { displayName, withEnding } from '../../utils/file-name';
import type { Access } from '../access/access';
import { lockAccount } from '../users/account-lock';
import { attachmentUsed, contentKey, thumbnailKey, type Attachments } from './attachments';
import { contentTypeOf } from './content-type';
import type { FileStorage, OpenFile } from './file-storage';
import type { UploadMetrics } from './upload-metrics';
import type { ImageProcessor } from './image-processor';
import type { SessionService } from '../identity/session.service';
import type { TokenService } from '../identity/token.service';

/** How much the smallest file counts towards a quota: a block on the disk. It bounds the number of small files. */
const MIN_STORED_BYTES = 4096;
/** The minimum lifetime of a link. The URL stays the same for as long, so that browsers can cache the image. */
const LINK_LIFETIME_MS = 5 * 60_000;

/** The maximum sizes of uploads in bytes. */
export interface UploadLimits {
  limits: Record<FileCategory, number>;
  /** For all files of one user together. */
  quota: number;
}

/** An open stored file and its upload. */
export interface OpenAttachment {
  content: OpenFile;
  upload: UploadDocument;
  mediaType: string;
}

/** The fields of an upload that describe its file. */
type StoredFields = Pick<
  UploadDocument,
  'name' | 'mediaType' | 'charset' | 'size' | 'width' | 'height' | 'storedBytes'
>;

/** The dependencies of UploadService. */
export interface UploadServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  sessions: SessionService;
  tokens: TokenService;
  images: ImageProcessor;
  attachments: Attachments;
  storage: FileStorage;
  uploadMetrics: UploadMetrics;
  settings: UploadLimits;
}

/** Stores, opens and removes uploaded files, which `Attachments` attaches to messages. */
export class UploadService {
  /** The largest upload of any kind, in bytes. */
  readonly maxBytes: number;

  constructor(private readonly deps: UploadServiceDeps) {
    this.maxBytes = Math.max(...Object.values(deps.settings.limits));
  }

  /**
   * Stores a file. Only its owner can read it until it belongs to a message. Images are re-encoded.
   * @throws AppError unsupported_media_type, payload_too_large, quota_exceeded, image_too_large, image_invalid,
   * rate_limited, unavailable, storage_full, session_revoked when the account no longer exists
   */
  add(caller: Caller, file: UploadedFile): Promise<Attachment> {
    return this.deps.uploadMetrics.measure('attachment', file, () => this.addMeasured(caller, file));
  }

  private async addMeasured({ userId }: Caller, file: UploadedFile): Promise<Attachment> {
    const type = await contentTypeOf(file.path);
    if (!type) throw new AppError('unsupported_media_type', 'Files of this type are not accepted.');
    const limit = this.deps.settings.limits[type.category];
    if (file.size > limit) throw fileTooLarge(limit);
    // A first check before the expensive work; the decisive one follows it.
    await this.requireQuota(userId, file.size);
    const _id = new ObjectId();
    const upload = { _id, userId, mediaType: type.mediaType };
    try {
      const stored = await this.store({ _id, userId }, file, type);
      const document: UploadDocument = {
        ...upload,
        ...stored,
        uses: 0,
        reservedFor: null,
        createdAt: new Date(),
      };
      await this.deps.transactions.run(async () => {
        // The lock keeps concurrent uploads from exceeding the quota together, and from racing with the end of the account.
        await lockAccount(this.deps.collections, userId);
        await this.requireQuota(userId, document.storedBytes);
        await this.deps.collections.uploads.insertOne(document);
      });
      return toAttachment(toStoredAttachment(document));
    } catch (error) {
      // Only if no document can refer to it: after a failure of the database, the upload may have been stored all the same.
      if (error instanceof AppError) await this.deps.attachments.deleteFiles(upload);
      throw error;
    }
  }

  /** Removes an unsent upload of the caller. @throws AppError not_found, attachment_used */
  async remove({ userId }: Caller, attachmentId: string): Promise<void> {
    const upload = await this.deps.collections.uploads.findOne({ _id: new ObjectId(attachmentId), userId });
    if (!upload) throw attachmentNotFound();
    if (!(await this.deps.attachments.discard(upload))) throw attachmentUsed();
  }

  /**
   * Opens a file for a user who may read a message with it, or for its owner while no message has it. The calling code
   * closes it.
   * @throws AppError not_found
   */
  async open(caller: Caller, attachmentId: string, thumbnail: boolean): Promise<OpenAttachment> {
    const _id = new ObjectId(attachmentId);
    const upload = await this.deps.collections.uploads.findOne({ _id });
    const isOwn = upload?.uses === 0 && upload.userId.equals(caller.userId);
    if (!isOwn) await this.requireReadable(caller, _id);
    if (!upload || (thumbnail && !isImage(upload))) throw attachmentNotFound();
    const content = await this.deps.storage.open(thumbnail ? thumbnailKey(upload) : contentKey(upload));
    if (!content) throw attachmentNotFound();
    return { content, upload, mediaType: thumbnail ? 'image/webp' : upload.mediaType };
  }

  /**
   * Returns URLs of files for requests that cannot send an access token. Whether the caller may read a file is decided at
   * each use.
   */
  link(caller: Caller, attachmentIds: readonly string[]): AttachmentLinks {
    const expiresAt = new Date((Math.floor(Date.now() / LINK_LIFETIME_MS) + 2) * LINK_LIFETIME_MS);
    const links = attachmentIds.map((attachmentId) => {
      const ticket = this.deps.tokens.createFileTicket(caller, attachmentId, expiresAt);
      return { attachmentId, url: `${FILES_PATH}/${attachmentId}?ticket=${ticket}` };
    });
    return { links, expiresAt: expiresAt.toISOString() };
  }

  /**
   * As `open`, for the user to whom a URL was issued, as long as their session is valid.
   * @throws AppError token_invalid, token_expired, session_revoked, not_found
   */
  async openLinked(
    attachmentId: string,
    ticket: string,
    thumbnail: boolean,
    address: string,
  ): Promise<OpenAttachment> {
    const holder = this.deps.tokens.readFileTicket(ticket, attachmentId);
    return this.open(
      await this.deps.sessions.reauthenticate({ ...holder, address }),
      attachmentId,
      thumbnail,
    );
  }

  private async requireReadable(caller: Caller, uploadId: ObjectId): Promise<void> {
    // Without a message, an id that matches no message is used: both cases give the same error.
    const messageId = (await this.findMessageWith(caller, uploadId)) ?? uploadId;
    try {
      await this.deps.access.message(caller, 'message.read', messageId);
    } catch (error) {
      throw error instanceof AppError && error.code === 'not_found' ? attachmentNotFound() : error;
    }
  }

  /** Finds a message with a file, preferably in a channel that the caller may read. */
  private async findMessageWith({ userId }: Caller, uploadId: ObjectId): Promise<ObjectId | undefined> {
    const having = { 'attachments.uploadId': uploadId };
    const { messages } = this.deps.collections;
    const projection = { _id: 1 } as const;
    const [first, second] = await messages.find(having, { projection }).limit(2).toArray();
    if (!second) return first?._id;
    const channelId = { $in: await this.deps.access.readableChannelIds(userId) };
    return (await messages.findOne({ ...having, channelId }, { projection }))?._id ?? first?._id;
  }

  /** @throws AppError quota_exceeded */
  private async requireQuota(userId: ObjectId, bytes: number): Promise<void> {
    const [sum] = await this.deps.collections.uploads
      .aggregate<{ bytes: number }>([
        { $match: { userId } },
        { $group: { _id: null, bytes: { $sum: '$storedBytes' } } },
      ])
      .toArray();
    const { quota } = this.deps.settings;
    const used = sum?.bytes ?? 0;
    if (used + bytes <= quota) return;
    throw new AppError('quota_exceeded', 'Your files would exceed your quota.', { quota, used });
  }

  /** Stores the content of a file. @throws AppError as `add` */
  private async store(
    { _id, userId }: Pick<UploadDocument, '_id' | 'userId'>,
    file: UploadedFile,
    { mediaType, category, charset }: ContentType,
  ): Promise<StoredFields> {
    const name = displayName(file.name ?? '');
    if (category !== 'image') {
      await this.deps.storage.putFile(contentKey({ _id, mediaType }), file.path);
      const storedBytes = Math.max(MIN_STORED_BYTES, file.size);
      return { name, mediaType, ...(charset && { charset }), size: file.size, storedBytes };
    }
    const { content, thumbnail, ...image } = await this.deps.images.reencode(file.path, userId);
    await this.deps.storage.put(contentKey({ _id, ...image }), content);
    await this.deps.storage.put(thumbnailKey({ _id }), thumbnail);
    return {
      name: image.mediaType === mediaType ? name : withEnding(name, image.mediaType.replace('image/', '')),
      ...image,
      size: content.length,
      storedBytes: Math.max(MIN_STORED_BYTES, content.length + thumbnail.length),
    };
  }
}

function attachmentNotFound(): AppError {
  return new AppError('not_found', 'There is no such file.');
}

function fileTooLarge(limit: number): AppError {
  return new AppError('payload_too_large', `Files of this type must not exceed ${limit / 1024 / 1024} MB.`);
}
