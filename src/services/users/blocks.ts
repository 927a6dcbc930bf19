import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';

/** Answers which users have blocked which. Messages of a user do not notify those who have blocked them. */
export class Blocks {
  constructor(private readonly collections: Pick<Collections, 'blocks'>) {}

  /** Returns which of some users have blocked a user, by id in hexadecimal digits. One query. */
  async findBlockers(blockedId: ObjectId, userIds: readonly ObjectId[]): Promise<Set<string>> {
    if (userIds.length === 0) return new Set();
    const rows = await this.collections.blocks
      .find({ blockedId, userId: { $in: [...userIds] } }, { projection: { userId: 1 } })
      .toArray();
    return new Set(rows.map(({ userId }) => userId.toHexString()));
  }

  /** As `findBlockers`, for several pairs of a user and others: one set for each. One query. */
  async findBlockersOfAll(
    pairs: readonly { blockedId: ObjectId; userIds: readonly ObjectId[] }[],
  ): Promise<Set<string>[]> {
    const asked = pairs.filter(({ userIds }) => userIds.length > 0);
    if (asked.length === 0) return pairs.map(() => new Set());
    const $or = asked.map(({ blockedId, userIds }) => ({ blockedId, userId: { $in: [...userIds] } }));
    const rows = await this.collections.blocks
      .find({ $or }, { projection: { userId: 1, blockedId: 1 } })
      .toArray();
    return pairs.map(
      ({ blockedId }) =>
        new Set(
          rows.filter((row) => row.blockedId.equals(blockedId)).map(({ userId }) => userId.toHexString()),
        ),
    );
  }

  /** Returns which of some users a user has blocked, by id in hexadecimal digits. One query. */
  async findBlocked(userId: ObjectId, others: readonly ObjectId[]): Promise<Set<string>> {
    if (others.length === 0) return new Set();
    const rows = await this.collections.blocks
      .find({ userId, blockedId: { $in: [...others] } }, { projection: { blockedId: 1 } })
      .toArray();
    return new Set(rows.map(({ blockedId }) => blockedId.toHexString()));
  }

  /** Whether a user has blocked another. */
  async hasBlocked(userId: ObjectId, other: ObjectId): Promise<boolean> {
    return (await this.findBlockers(other, [userId])).size > 0;
  }
}
