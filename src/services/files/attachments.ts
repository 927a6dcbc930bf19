import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
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

/** The folders of the storage that files on messages are in. */
export const ATTACHMENT_FOLDERS = ['images', 'files'] as const;

/** Uploads that are removed at a time. */
const BATCH_SIZE = 100;

/** What messages say of their files. */
type WithAttachments = Pick<MessageDocument, 'attachments'>;

/** An upload that a message was to have is gone, or another message has it by now. */
export class AttachmentUnavailable extends Error {}

/**
 * Ties files to messages. Which message has a file stands in the message; an upload counts them (`uses`), so that
 * whatever adds or removes one writes the same document, and of two transactions at once one sees the other.
 * Files are written before a document names them and removed after none does.
 */
export class Attachments {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly storage: FileStorage,
    private readonly logger: Logger,
  ) {}

  /** The uploads of these ids that there are, by id in hexadecimal digits. */
  async find(ids: readonly ObjectId[]): Promise<Map<string, UploadDocument>> {
    if (ids.length === 0) return new Map();
    const rows = await this.collections.uploads.find({ _id: { $in: [...ids] } }).toArray();
    return new Map(rows.map((row) => [row._id.toHexString(), row]));
  }

  /**
   * Messages are about to be written with their files: part of the transaction that writes them, before they are.
   * A forward takes files along that other messages have; of the others every file is new.
   * @throws AttachmentUnavailable
   */
  async claim(
    messages: readonly (WithAttachments & Pick<MessageDocument, 'forwardedFrom'>)[],
  ): Promise<void> {
    const fresh = uploadIdsOf(messages.filter(({ forwardedFrom }) => !forwardedFrom));
    const { uploads } = this.collections;
    if (fresh.length > 0) {
      const first = { $set: { uses: 1, reservedFor: null } };
      const { matchedCount } = await uploads.updateMany({ _id: { $in: fresh }, uses: 0 }, first);
      if (matchedCount !== fresh.length) throw new AttachmentUnavailable();
    }
    const again = messages.filter(({ forwardedFrom }) => forwardedFrom);
    for (const [times, ids] of groupByCount(uploadIdsOf(again))) {
      const more = { $inc: { uses: times } };
      const { matchedCount } = await uploads.updateMany({ _id: { $in: ids }, uses: { $gt: 0 } }, more);
      if (matchedCount !== ids.length) throw new AttachmentUnavailable();
    }
  }

  /**
   * Messages have been removed, or have lost their files: what no message has any more goes, the files when that
   * is committed. Part of the caller's transaction.
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
   * Keeps uploads for a message that somebody sends later: part of the transaction that stores it.
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

  /** A message is not sent later after all: what was kept for it goes. Part of the caller's transaction. */
  async dropReserved(reservedFor: ObjectId): Promise<void> {
    await this.remove(await this.collections.uploads.find({ reservedFor, uses: 0 }).toArray());
  }

  /** What somebody has uploaded and not sent goes. Part of the caller's transaction. */
  async discardUnsent(userId: ObjectId): Promise<void> {
    await this.remove(await this.collections.uploads.find({ userId, uses: 0 }).toArray());
  }

  /** Removes an upload that no message has. @returns whether it was there */
  async discard(upload: Pick<UploadDocument, '_id' | 'userId' | 'mediaType'>): Promise<boolean> {
    const { _id, userId } = upload;
    const which = { _id, userId, uses: 0, reservedFor: null };
    return this.transactions.run(async () => {
      const { deletedCount } = await this.collections.uploads.deleteOne(which);
      if (deletedCount > 0) await this.transactions.afterCommit(() => this.deleteFiles(upload));
      return deletedCount > 0;
    });
  }

  /** Removes some uploads of before a time that were never sent. @returns whether there may be more */
  async removeAbandoned(before: Date): Promise<boolean> {
    const abandoned = { uses: 0, reservedFor: null, createdAt: { $lt: before } };
    const batch = await this.collections.uploads.find(abandoned).limit(BATCH_SIZE).toArray();
    for (const upload of batch) await this.discard(upload);
    return batch.length === BATCH_SIZE;
  }

  /** Deletes the files of an upload. What fails of it is left to the clean-up. */
  async deleteFiles(upload: Pick<UploadDocument, '_id' | 'mediaType'>): Promise<void> {
    for (const key of [contentKey(upload), ...(isImage(upload) ? [thumbnailKey(upload)] : [])]) {
      await this.storage.delete(key).catch((error: unknown) => {
        const uploadId = upload._id.toHexString();
        this.logger.warn({ err: error, uploadId }, 'a file that no message has could not be removed');
      });
    }
  }

  private async remove(gone: UploadDocument[]): Promise<void> {
    if (gone.length === 0) return;
    await this.collections.uploads.deleteMany({ _id: { $in: gone.map(({ _id }) => _id) } });
    await this.transactions.afterCommit(async () => {
      for (const upload of gone) await this.deleteFiles(upload);
    });
  }
}

function uploadIdsOf(messages: readonly WithAttachments[]): ObjectId[] {
  return messages.flatMap(({ attachments = [] }) => attachments.map(({ uploadId }) => uploadId));
}

/** The ids by how often each is there. */
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

/** Where the content of an upload is. */
export function contentKey(upload: Pick<UploadDocument, '_id' | 'mediaType'>): string {
  return `${isImage(upload) ? 'images' : 'files'}/${upload._id.toHexString()}`;
}

/** Where the thumbnail of an image is. */
export function thumbnailKey({ _id }: Pick<UploadDocument, '_id'>): string {
  return `images/${_id.toHexString()}-thumbnail`;
}

/** The id of the upload that a stored file belongs to, in hexadecimal digits; undefined for a file that is none. */
export function uploadIdOf(key: string): string | undefined {
  return /^(?:images|files)\/([0-9a-f]{24})(?:-thumbnail)?$/.exec(key)?.[1];
}

/** The same for somebody else's file as for one that does not exist. */
export function uploadNotFound(): AppError {
  return new AppError('not_found', 'There is no such file to attach.');
}

/** A file is on one message, and on those that forward it. */
export function attachmentUsed(): AppError {
  return new AppError('attachment_used', 'A message has this file already, or is going to have it.');
}
