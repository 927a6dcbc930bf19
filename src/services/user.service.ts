import { ObjectId } from 'mongodb';
import type { Collections } from '../db/collections';
import { toPublicUser, type PublicUser, type UserDocument } from '../models/user.model';
import { AppError } from '../utils/errors';

/** Looks users up for other services and for callers. */
export class UserService {
  constructor(private readonly collections: Collections) {}

  /** @throws AppError not_found */
  async requireUser(userId: string): Promise<UserDocument> {
    const user = await this.collections.users.findOne({ _id: new ObjectId(userId) });
    if (!user) throw new AppError('not_found', 'There is no such user.');
    return user;
  }

  /** A user as others see them. @throws AppError not_found */
  async get(userId: string): Promise<PublicUser> {
    return toPublicUser(await this.requireUser(userId));
  }

  /** The users with these ids, by id in hexadecimal digits. Unknown ids are left out. */
  async byIds(ids: ObjectId[]): Promise<Map<string, UserDocument>> {
    if (ids.length === 0) return new Map();
    const users = await this.collections.users.find({ _id: { $in: ids } }).toArray();
    return new Map(users.map((user) => [user._id.toHexString(), user]));
  }
}
