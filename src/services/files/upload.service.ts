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
import type { ImageProcessor } from './image-processor';
import type { SessionService } from '../identity/session.service';
import type { TokenService } from '../identity/token.service';

/** What the smallest file takes of a quota, in bytes: a block on the disk. So many small ones are bounded, too. */
const MIN_STORED_BYTES = 4096;
/** For how long a link is good at least, in milliseconds. It is the same for as long, so that browsers keep the picture. */
const LINK_LIFETIME_MS = 5 * 60_000;

/** How large uploads may be, in bytes. */
export interface UploadLimits {
  limits: Record<FileCategory, number>;
  /** All of one user together. */
  quota: number;
}

/** A stored file, and what it is. */
export interface OpenAttachment {
  content: OpenFile;
  upload: UploadDocument;
  mediaType: string;
}

/** What is kept of a file: all but whose it is. */
type StoredFields = Pick<
  UploadDocument,
  'name' | 'mediaType' | 'charset' | 'size' | 'width' | 'height' | 'storedBytes'
>;

/** What UploadService works with. */
export interface UploadServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  sessions: SessionService;
  tokens: TokenService;
  images: ImageProcessor;
  attachments: Attachments;
  storage: FileStorage;
  settings: UploadLimits;
}

/** Files that people send, to hang them on messages. Attachments ties them to these. */
export class UploadService {
  /** The largest upload of any kind, in bytes. */
  readonly maxBytes: number;

  constructor(private readonly deps: UploadServiceDeps) {
    this.maxBytes = Math.max(...Object.values(deps.settings.limits));
  }

  /**
   * Takes a file in, which only its owner can read until it is on a message. Pictures are drawn anew.
   * @throws AppError unsupported_media_type, payload_too_large, quota_exceeded, image_too_large, image_invalid,
   * rate_limited, unavailable, storage_full, session_revoked when the account is gone
   */
  async add({ userId }: Caller, file: UploadedFile): Promise<Attachment> {
    const type = await contentTypeOf(file.path);
    if (!type) throw new AppError('unsupported_media_type', 'Files of this type are not taken.');
    const limit = this.deps.settings.limits[type.category];
    if (file.size > limit) throw fileTooLarge(limit);
    // Before the work of taking it in; what counts is asked behind that.
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
        // Summed under a lock on the account, so that two at once do not pass the quota, nor its deletion.
        await lockAccount(this.deps.collections, userId);
        await this.requireQuota(userId, document.storedBytes);
        await this.deps.collections.uploads.insertOne(document);
      });
      return toAttachment(toStoredAttachment(document));
    } catch (error) {
      // Only where nothing can have named it: after a failure of the database it may be named all the same.
      if (error instanceof AppError) await this.deps.attachments.deleteFiles(upload);
      throw error;
    }
  }

  /** Takes back what one has uploaded and not sent. @throws AppError not_found, attachment_used */
  async remove({ userId }: Caller, attachmentId: string): Promise<void> {
    const upload = await this.deps.collections.uploads.findOne({ _id: new ObjectId(attachmentId), userId });
    if (!upload) throw attachmentNotFound();
    if (!(await this.deps.attachments.discard(upload))) throw attachmentUsed();
  }

  /**
   * Opens a file for whoever may read a message that has it, or for its owner while none has; the caller closes it.
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
   * Addresses of files for where no access token can be sent. Whether the caller may read them is asked at each use.
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
   * As `open`, for whom an address was given out to: as long as their session stands.
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
    // A message that does not exist is refused like one that may not be read.
    const messageId = (await this.findMessageWith(caller, uploadId)) ?? uploadId;
    try {
      await this.deps.access.message(caller, 'message.read', messageId);
    } catch (error) {
      throw error instanceof AppError && error.code === 'not_found' ? attachmentNotFound() : error;
    }
  }

  /** A message that has a file: one in a channel that the caller reads, if there is. */
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
    throw new AppError('quota_exceeded', 'Your files take all the room that you have.', { quota, used });
  }

  /** Stores what a file holds. @throws AppError as `add` */
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
  return new AppError('payload_too_large', `Files of this type have at most ${limit / 1024 / 1024} MB.`);
}
