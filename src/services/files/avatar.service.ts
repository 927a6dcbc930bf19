import { randomBytes } from 'node:crypto';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import { AVATAR_SIZES, type AvatarSize } from '../../models/files/avatar.model';
import { toGroup, type Group, type GroupDocument } from '../../models/group.model';
import type { Caller } from '../../models/identity/session.model';
import type { UploadedFile } from '../../models/files/upload.model';
import { toUser, type User } from '../../models/user.model';
import { AppError } from '../../utils/errors';
import type { Logger } from '../../utils/logger';
import type { AuditService } from '../audit/audit.service';
import type { EventBus } from '../kernel/event-bus';
import type { FileStorage, OpenFile } from './file-storage';
import type { GuardedWrites } from '../access/guarded-writes';
import type { UploadMetrics } from './upload-metrics';
import type { ImageProcessor } from './image-processor';

/** The folder of the storage that contains avatars. */
export const AVATAR_FOLDER = 'avatars';

/** The dependencies of AvatarService. */
export interface AvatarServiceDeps {
  collections: Collections;
  transactions: Transactions;
  writes: GuardedWrites;
  audit: AuditService;
  bus: EventBus;
  images: ImageProcessor;
  storage: FileStorage;
  uploadMetrics: UploadMetrics;
  logger: Logger;
}

/**
 * Sets and removes the avatars of users and groups. Each upload gets a new random id, which is all that a client needs to
 * read it (docs/decisions/0009-avatars-by-secret-url.md).
 *
 * Files are written before a document refers to them and removed after it no longer does, so a crash leaves unused files
 * at most; UploadCleanup removes those.
 */
export class AvatarService {
  constructor(private readonly deps: AvatarServiceDeps) {}

  /**
   * Replaces the caller's avatar.
   * @throws AppError unsupported_media_type, image_too_large, image_invalid, rate_limited, unavailable, storage_full,
   * session_revoked when the account no longer exists
   */
  setOwn(caller: Caller, file: UploadedFile): Promise<User> {
    return this.deps.uploadMetrics.measure('avatar', file, () => this.replaceOwn(caller, file));
  }

  private async replaceOwn(caller: Caller, file: UploadedFile): Promise<User> {
    const images = await this.deps.images.createSquares(file.path, AVATAR_SIZES, caller.userId);
    return this.replace(images, async (avatarId) => {
      const change = { avatarId, updatedAt: new Date() };
      // A call that was running when the account was deleted must not store personal data.
      const which = { _id: caller.userId, state: { $ne: 'deleted' as const } };
      const before = await this.deps.collections.users.findOneAndUpdate(which, { $set: change });
      if (!before) throw new AppError('session_revoked', 'The account no longer exists.');
      return { before: before.avatarId, result: toUser({ ...before, ...change }) };
    });
  }

  /** Removes the caller's avatar, if there is one. */
  async removeOwn(caller: Caller): Promise<void> {
    const before = await this.deps.collections.users.findOneAndUpdate(
      { _id: caller.userId, avatarId: { $exists: true } },
      { $unset: { avatarId: true }, $set: { updatedAt: new Date() } },
    );
    await this.discard(before?.avatarId);
  }

  /**
   * Replaces the avatar of a group; requires the role admin.
   * @throws AppError not_found, not_a_member, forbidden, and the errors of `setOwn` about the image
   */
  setForGroup(caller: Caller, groupId: string, file: UploadedFile): Promise<Group> {
    return this.deps.uploadMetrics.measure('avatar', file, () => this.replaceForGroup(caller, groupId, file));
  }

  private async replaceForGroup(caller: Caller, groupId: string, file: UploadedFile): Promise<Group> {
    // Processing the image takes a while, in which the role may change, so access is decided after it.
    const images = await this.deps.images.createSquares(file.path, AVATAR_SIZES, caller.userId);
    return this.replace(images, (avatarId) =>
      this.deps.writes.inGroup(caller, 'group.update', groupId, {}, async ({ group, membership }) => {
        const change = { avatarId, updatedAt: new Date() };
        const before = await this.deps.collections.groups.findOneAndUpdate(
          { _id: group._id },
          { $set: change },
        );
        if (!before) throw new AppError('not_found', 'There is no such group.');
        const after = { ...before, ...change };
        await this.publish(caller, after);
        return { before: before.avatarId, result: toGroup(after, membership?.role ?? null) };
      }),
    );
  }

  /** Removes the avatar of a group; requires the role admin. @throws AppError not_found, not_a_member, forbidden */
  async removeForGroup(caller: Caller, groupId: string): Promise<void> {
    await this.deps.writes.inGroup(caller, 'group.update', groupId, {}, async ({ group }) => {
      const before = await this.deps.collections.groups.findOneAndUpdate(
        { _id: group._id, avatarId: { $exists: true } },
        { $unset: { avatarId: true }, $set: { updatedAt: new Date() } },
      );
      if (!before) return;
      const { avatarId, ...after } = before;
      await this.publish(caller, after);
      await this.discard(avatarId);
    });
  }

  /** Records and publishes that the avatar of a group has changed. */
  private async publish({ userId: actorId, address }: Caller, group: GroupDocument): Promise<void> {
    const details = { avatarId: group.avatarId ?? null };
    const entry = { action: 'group.avatar_changed', actorId, targetId: group._id, address, details } as const;
    await this.deps.audit.record(entry);
    await this.deps.bus.publish({ type: 'group.updated', group });
  }

  /** Opens an avatar; the caller closes it. @throws AppError not_found */
  async open(avatarId: string, size: AvatarSize): Promise<OpenFile> {
    const file = await this.deps.storage.open(avatarKey(avatarId, size));
    if (!file) throw new AppError('not_found', 'There is no such avatar.');
    return file;
  }

  /**
   * Deletes the files of an unused avatar after the commit. Failures are left to the regular clean-up, since the change
   * itself has been made.
   */
  async discard(avatarId: string | undefined): Promise<void> {
    if (avatarId === undefined) return;
    await this.deps.transactions.afterCommit(() => this.deleteFiles(avatarId));
  }

  /**
   * Stores images under a new id and lets `change` refer to it, then deletes the previous avatar.
   * @param images the images, in the order of AVATAR_SIZES.
   */
  private async replace<Result>(
    images: Buffer[],
    change: (avatarId: string) => Promise<{ before: string | undefined; result: Result }>,
  ): Promise<Result> {
    const avatarId = randomBytes(16).toString('hex');
    try {
      for (const [index, size] of AVATAR_SIZES.entries()) {
        const image = images[index];
        if (image) await this.deps.storage.put(avatarKey(avatarId, size), image);
      }
      const { before, result } = await change(avatarId);
      await this.discard(before);
      return result;
    } catch (error) {
      // Only if no document can refer to it: after a failure of the database, the change may have been stored all the same.
      if (error instanceof AppError) await this.deleteFiles(avatarId);
      throw error;
    }
  }

  private async deleteFiles(avatarId: string): Promise<void> {
    for (const size of AVATAR_SIZES) {
      await this.deps.storage.delete(avatarKey(avatarId, size)).catch((error: unknown) => {
        this.deps.logger.warn({ err: error, avatarId }, 'an unused avatar could not be removed');
      });
    }
  }
}

/** Returns the storage keys of the images of an avatar. */
export function avatarKeys(avatarId: string): string[] {
  return AVATAR_SIZES.map((size) => avatarKey(avatarId, size));
}

function avatarKey(avatarId: string, size: AvatarSize): string {
  return `${AVATAR_FOLDER}/${avatarId}-${size}.webp`;
}

/** Returns the id of the avatar that a stored file belongs to; undefined for other files. */
export function avatarIdOf(key: string): string | undefined {
  return /^avatars\/([0-9a-f]{32})-\d+\.webp$/.exec(key)?.[1];
}
