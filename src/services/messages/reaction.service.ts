import { ObjectId } from 'mongodb';
import type { PageQuery } from '../../models/kernel/common.model';
import { toMessage, type Message } from '../../models/message.model';
import { MAX_EMOJIS, MAX_REACTIONS, type StoredReaction } from '../../models/messages/reaction.model';
import type { Caller } from '../../models/identity/session.model';
import { toPublicUser, type PublicUser } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import { requireUndeleted, type MessageChanges } from './message-changes';
import type { SlowMode } from './slow-mode';
import type { UserService } from '../user.service';

/** Adds, removes and lists reactions to messages. */
export class ReactionService {
  constructor(
    private readonly access: Access,
    private readonly changes: MessageChanges,
    private readonly slowMode: SlowMode,
    private readonly users: UserService,
  ) {}

  /**
   * Adds a reaction to a message. Idempotent.
   * @throws AppError not_found, muted, announcement_only, slow_mode, message_deleted, too_many_reactions, …
   */
  add(caller: Caller, messageId: string, emoji: string): Promise<Message> {
    return this.react(caller, messageId, (reactions) => withReaction(reactions, emoji, caller.userId), true);
  }

  /** Removes the caller's reaction. Idempotent. @throws AppError as `add`, except slow_mode and too_many_reactions */
  remove(caller: Caller, messageId: string, emoji: string): Promise<Message> {
    return this.react(
      caller,
      messageId,
      (reactions) => withoutReaction(reactions, emoji, caller.userId),
      false,
    );
  }

  /** The users who have reacted with an emoji, sorted by id. @throws AppError not_found */
  async list(
    caller: Caller,
    messageId: string,
    emoji: string,
    { cursor, limit }: PageQuery,
  ): Promise<Page<PublicUser>> {
    const { message } = await this.access.message(caller, 'message.read', messageId);
    const all = message.reactions?.find((reaction) => reaction.emoji === emoji)?.userIds ?? [];
    const ids = all
      .map((id) => id.toHexString())
      .filter((id) => cursor === undefined || id > cursor)
      .sort();
    const page = cutPage(ids.slice(0, limit + 1), limit, (last) => last);
    const users = await this.users.findByIds(page.items.map((id) => new ObjectId(id)));
    const items = page.items.flatMap((id) => users.get(id) ?? []);
    return { items: items.map(toPublicUser), nextCursor: page.nextCursor };
  }

  /**
   * @param change returns its argument if there is nothing to change.
   * @param isNew whether a reaction is added: slow mode does not apply to a removal.
   */
  private react(
    caller: Caller,
    messageId: string,
    change: (reactions: StoredReaction[]) => StoredReaction[],
    isNew: boolean,
  ): Promise<Message> {
    return this.changes.asCaller(caller, 'message.react', messageId, async (found) => {
      const { message: current } = found;
      requireUndeleted(current);
      const { reactions: before = [] } = current;
      const reactions = change(before);
      if (reactions === before) return toMessage(current);
      if (isNew) await this.slowMode.recordChange(found, caller.userId);
      const { message } = await this.changes.apply(current, () =>
        reactions.length > 0 ? { $set: { reactions } } : { $unset: { reactions: true } },
      );
      return toMessage(message);
    });
  }
}

function withReaction(reactions: StoredReaction[], emoji: string, userId: ObjectId): StoredReaction[] {
  const before = reactions.find((one) => one.emoji === emoji);
  if (before?.userIds.some((id) => id.equals(userId))) return reactions;
  if (!before && reactions.length >= MAX_EMOJIS) {
    throw new AppError('too_many_reactions', `A message can have at most ${MAX_EMOJIS} different emojis.`);
  }
  if (reactions.reduce((sum, { userIds }) => sum + userIds.length, 0) >= MAX_REACTIONS) {
    throw new AppError('too_many_reactions', `A message can have at most ${MAX_REACTIONS} reactions.`);
  }
  if (!before) return [...reactions, { emoji, userIds: [userId] }];
  const after = { emoji, userIds: [...before.userIds, userId] };
  return reactions.map((one) => (one === before ? after : one));
}

function withoutReaction(reactions: StoredReaction[], emoji: string, userId: ObjectId): StoredReaction[] {
  const before = reactions.find((one) => one.emoji === emoji);
  if (!before?.userIds.some((id) => id.equals(userId))) return reactions;
  const after = { emoji, userIds: before.userIds.filter((id) => !id.equals(userId)) };
  return reactions.flatMap((one) => (one !== before ? one : after.userIds.length > 0 ? after : []));
}
