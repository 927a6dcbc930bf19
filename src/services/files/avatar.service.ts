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
import type { ImageProcessor } from './image-processor';

/** The folder of the storage that avatars are in. */
export const AVATAR_FOLDER = 'avatars';

/** What AvatarService works with. */
export interface AvatarServiceDeps {
  collections: Collections;
  transactions: Transactions;
  writes: GuardedWrites;
  audit: AuditService;
  bus: EventBus;
  images: ImageProcessor;
  storage: FileStorage;
  logger: Logger;
}

/**
 * The avatars of users and groups. Each upload gets a new random id, which is all that one needs to see it
 * (docs/decisions/0009-avatars-by-secret-url.md).
 *
 * Files are written before the document names them and removed after it no longer does, so a crash leaves at
 * most files that nothing names; UploadCleanup removes those.
 */
export class AvatarService {
  constructor(private readonly deps: AvatarServiceDeps) {}

  /**
   * Gives the caller a new avatar in the place of the one before.
   * @throws AppError unsupported_media_type, image_too_large, image_invalid, rate_limited, unavailable, storage_full,
   * session_revoked when the account is gone
   */
  async setOwn(caller: Caller, file: UploadedFile): Promise<User> {
    const images = await this.deps.images.createSquares(file.path, AVATAR_SIZES, caller.userId);
    return this.replace(images, async (avatarId) => {
      const change = { avatarId, updatedAt: new Date() };
      // A deleted account gets no new personal data from a call that was under way.
      const which = { _id: caller.userId, state: { $ne: 'deleted' as const } };
      const before = await this.deps.collections.users.findOneAndUpdate(which, { $set: change });
      if (!before) throw new AppError('session_revoked', 'The account no longer exists.');
      return { before: before.avatarId, result: toUser({ ...before, ...change }) };
    });
  }

  /** Takes the caller's avatar away; when there is none, nothing changes. */
  async removeOwn(caller: Caller): Promise<void> {
    const before = await this.deps.collections.users.findOneAndUpdate(
      { _id: caller.userId, avatarId: { $exists: true } },
      { $unset: { avatarId: true }, $set: { updatedAt: new Date() } },
    );
    await this.discard(before?.avatarId);
  }

  /**
   * Gives a group a new avatar; takes the role admin.
   * @throws AppError not_found, not_a_member, forbidden, and what setMine throws of the image
   */
  async setForGroup(caller: Caller, groupId: string, file: UploadedFile): Promise<Group> {
    // Making images takes a while, in which a role can end: it is asked for after that.
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

  /** Takes a group's avatar away; takes the role admin. @throws AppError not_found, not_a_member, forbidden */
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

  /** A group has another avatar, or none: to its members, and to the audit log. */
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
   * Removes the files of an avatar that nothing names any more, when that is committed. What fails of it is
   * left to the clean-up: the change itself has been made.
   */
  async discard(avatarId: string | undefined): Promise<void> {
    if (avatarId === undefined) return;
    await this.deps.transactions.afterCommit(() => this.deleteFiles(avatarId));
  }

  /**
   * Stores images under a new id, lets `change` name it, and discards what was named before.
   * @param images in the order of AVATAR_SIZES.
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
      // Only where nothing can have named it: after a failure of the database it may be named all the same.
      if (error instanceof AppError) await this.deleteFiles(avatarId);
      throw error;
    }
  }

  private async deleteFiles(avatarId: string): Promise<void> {
    for (const size of AVATAR_SIZES) {
      await this.deps.storage.delete(avatarKey(avatarId, size)).catch((error: unknown) => {
        this.deps.logger.warn(
          { err: error, avatarId },
          'an avatar that is no longer used could not be removed',
        );
      });
    }
  }
}

function avatarKey(avatarId: string, size: AvatarSize): string {
  return `${AVATAR_FOLDER}/${avatarId}-${size}.webp`;
}

/** The id of the avatar that a stored file belongs to; undefined for a file that is none. */
export function avatarIdOf(key: string): string | undefined {
  return /^avatars\/([0-9a-f]{32})-\d+\.webp$/.exec(key)?.[1];
}
