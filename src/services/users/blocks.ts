import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';

/** Who has blocked whom: what somebody writes does not reach those who have blocked them. */
export class Blocks {
  constructor(private readonly collections: Pick<Collections, 'blocks'>) {}

  /** Those of some users who have blocked somebody, by id in hexadecimal digits. One query. */
  async findBlockers(blockedId: ObjectId, userIds: readonly ObjectId[]): Promise<Set<string>> {
    if (userIds.length === 0) return new Set();
    const rows = await this.collections.blocks
      .find({ blockedId, userId: { $in: [...userIds] } }, { projection: { userId: 1 } })
      .toArray();
    return new Set(rows.map(({ userId }) => userId.toHexString()));
  }

  /** Those of some people whom a user has blocked, by id in hexadecimal digits. One query. */
  async findBlocked(userId: ObjectId, people: readonly ObjectId[]): Promise<Set<string>> {
    if (people.length === 0) return new Set();
    const rows = await this.collections.blocks
      .find({ userId, blockedId: { $in: [...people] } }, { projection: { blockedId: 1 } })
      .toArray();
    return new Set(rows.map(({ blockedId }) => blockedId.toHexString()));
  }

  /** Whether a user has blocked somebody. */
  async hasBlocked(userId: ObjectId, other: ObjectId): Promise<boolean> {
    return (await this.findBlockers(other, [userId])).size > 0;
  }

  /** Whether one of two people has blocked the other. */
  async existsBetween(one: ObjectId, other: ObjectId): Promise<boolean> {
    const either = await Promise.all([this.hasBlocked(one, other), this.hasBlocked(other, one)]);
    return either.includes(true);
  }
}
