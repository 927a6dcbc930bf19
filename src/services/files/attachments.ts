import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { WriteList } from '../../db/write-list';
import {
  isImage,
  toStoredAttachment,
  type StoredAttachment,
  type UploadDocument,
} from '../../models/files/attachment.model';
import type { MessageDocument } from '../../models/message.model';
import { AppError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import type { FileStorage } from './file-storage';

/** The folders of the storage that contain the files of messages. */
export const ATTACHMENT_FOLDERS = ['images', 'files'] as const;

/** The number of uploads that are removed at a time. */
const BATCH_SIZE = 100;

/** The part of a message that refers to files. */
type WithAttachments = Pick<MessageDocument, 'attachments'>;

/**
 * Attaches files to messages. A message refers to its files; an upload counts the messages that refer to it (`uses`), so
 * that all transactions which add or remove a reference write the same document and conflict. Files are written before
 * a document refers to them and removed after no document does.
 */
export class Attachments {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly storage: FileStorage,
    private readonly logger: Logger,
  ) {}

  /** Finds uploads, by id in hexadecimal digits. Unknown ids are left out. */
  async find(ids: readonly ObjectId[]): Promise<Map<string, UploadDocument>> {
    if (ids.length === 0) return new Map();
    const rows = await this.collections.uploads.find({ _id: { $in: [...ids] } }).toArray();
    return new Map(rows.map((row) => [row._id.toHexString(), row]));
  }

  /**
   * Counts the references of messages that are about to be written, in the writes that write them. A forwarded message
   * shares files with other messages; every file of another message must be unused. The writes are refused if an upload
   * no longer exists, or belongs to another message.
   */
  claim(
    writes: WriteList<unknown>,
    messages: readonly (WithAttachments & Pick<MessageDocument, 'forwardedFrom'>)[],
  ): void {
    const { uploads } = this.collections;
    for (const { attachments = [], forwardedFrom } of messages) {
      for (const { uploadId: _id } of attachments) {
        if (forwardedFrom) writes.updateRequired(uploads, { _id, uses: { $gt: 0 } }, { $inc: { uses: 1 } });
        else writes.updateRequired(uploads, { _id, uses: 0 }, { $set: { uses: 1, reservedFor: null } });
      }
    }
  }

  /**
   * Removes the references of messages that have been removed or have lost their files. Uploads without references are
   * deleted, their files after the commit. Part of the caller's transaction.
   */
  async release(messages: readonly WithAttachments[]): Promise<void> {
    const { uploads } = this.collections;
    const counted = groupByCount(uploadIdsOf(messages));
    for (const [times, ids] of counted) {
      await uploads.updateMany({ _id: { $in: ids } }, { $inc: { uses: -times } });
    }
    const all = [...counted.values()].flat();
    if (all.length > 0)
      await this.remove(await uploads.find({ _id: { $in: all }, uses: { $lte: 0 } }).toArray());
  }

  /**
   * Reserves uploads for a scheduled message. Part of the transaction that stores it.
   * @throws AppError not_found, attachment_used
   */
  async reserve(
    userId: ObjectId,
    ids: readonly ObjectId[],
    scheduledId: ObjectId,
  ): Promise<StoredAttachment[]> {
    if (ids.length === 0) return [];
    const found = await this.find(ids);
    const own = ids.flatMap((id) => {
      const upload = found.get(id.toHexString());
      return upload?.userId.equals(userId) ? [upload] : [];
    });
    if (own.length < ids.length) throw uploadNotFound();
    const free = { _id: { $in: [...ids] }, userId, uses: 0, reservedFor: null };
    const { matchedCount } = await this.collections.uploads.updateMany(free, {
      $set: { reservedFor: scheduledId },
    });
    if (matchedCount < ids.length) throw attachmentUsed();
    return own.map(toStoredAttachment);
  }

  /** Deletes the uploads that are reserved for a scheduled message. Part of the caller's transaction. */
  async dropReserved(reservedFor: ObjectId): Promise<void> {
    await this.remove(await this.collections.uploads.find({ reservedFor, uses: 0 }).toArray());
  }

  /** Deletes the unsent uploads of a user. Part of the caller's transaction. */
  async discardUnsent(userId: ObjectId): Promise<void> {
    await this.remove(await this.collections.uploads.find({ userId, uses: 0 }).toArray());
  }

  /** Deletes an upload that no message refers to. @returns whether it existed. */
  async discard(upload: Pick<UploadDocument, '_id' | 'userId' | 'mediaType'>): Promise<boolean> {
    const { _id, userId } = upload;
    const which = { _id, userId, uses: 0, reservedFor: null };
    return this.transactions.run(async () => {
      const { deletedCount } = await this.collections.uploads.deleteOne(which);
      if (deletedCount > 0) await this.transactions.afterCommit(() => this.deleteFiles(upload));
      return deletedCount > 0;
    });
  }

  /** Deletes a batch of uploads that were created before a time and never sent. @returns whether there may be more. */
  async removeAbandoned(before: Date): Promise<boolean> {
    const abandoned = { uses: 0, reservedFor: null, createdAt: { $lt: before } };
    const batch = await this.collections.uploads.find(abandoned).limit(BATCH_SIZE).toArray();
    for (const upload of batch) await this.discard(upload);
    return batch.length === BATCH_SIZE;
  }

  /** Deletes the files of an upload. Failures are left to the regular clean-up. */
  async deleteFiles(upload: Pick<UploadDocument, '_id' | 'mediaType'>): Promise<void> {
    for (const key of [contentKey(upload), ...(isImage(upload) ? [thumbnailKey(upload)] : [])]) {
      await this.storage.delete(key).catch((error: unknown) => {
        const uploadId = upload._id.toHexString();
        this.logger.warn({ err: error, uploadId }, 'an unused file could not be removed');
      });
    }
  }

  private async remove(uploads: UploadDocument[]): Promise<void> {
    if (uploads.length === 0) return;
    await this.collections.uploads.deleteMany({ _id: { $in: uploads.map(({ _id }) => _id) } });
    await this.transactions.afterCommit(async () => {
      for (const upload of uploads) await this.deleteFiles(upload);
    });
  }
}

function uploadIdsOf(messages: readonly WithAttachments[]): ObjectId[] {
  return messages.flatMap(({ attachments = [] }) => attachments.map(({ uploadId }) => uploadId));
}

/** Groups ids by how often each occurs. */
function groupByCount(ids: readonly ObjectId[]): Map<number, ObjectId[]> {
  const counts = new Map<string, { id: ObjectId; times: number }>();
  for (const id of ids) {
    const entry = counts.get(id.toHexString()) ?? { id, times: 0 };
    entry.times++;
    counts.set(id.toHexString(), entry);
  }
  const groups = new Map<number, ObjectId[]>();
  for (const { id, times } of counts.values()) groups.set(times, [...(groups.get(times) ?? []), id]);
  return groups;
}

/** Returns the storage key of the content of an upload. */
export function contentKey(upload: Pick<UploadDocument, '_id' | 'mediaType'>): string {
  return `${isImage(upload) ? 'images' : 'files'}/${upload._id.toHexString()}`;
}

/** Returns the storage key of the thumbnail of an image. */
export function thumbnailKey({ _id }: Pick<UploadDocument, '_id'>): string {
  return `images/${_id.toHexString()}-thumbnail`;
}

/** Returns the id of the upload that a stored file belongs to, in hexadecimal digits; undefined for other files. */
export function uploadIdOf(key: string): string | undefined {
  return /^(?:images|files)\/([0-9a-f]{24})(?:-thumbnail)?$/.exec(key)?.[1];
}

/** The error is the same for another user's file as for one that does not exist. */
export function uploadNotFound(): AppError {
  return new AppError('not_found', 'There is no such file to attach.');
}

/** A file belongs to one message and to those that forward it. */
export function attachmentUsed(): AppError {
  return new AppError('attachment_used', 'This file already belongs to a message or a scheduled message.');
}
