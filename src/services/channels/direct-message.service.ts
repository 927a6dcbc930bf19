import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import { duplicateIndex } from '../../db/mongodb';
import type { Transactions } from '../../db/transaction';
import { toChannel, type ChannelDocument } from '../../models/channel.model';
import {
  directKeyOf,
  MAX_PARTICIPANTS,
  userIdsOfDirectKey,
  type AddPeopleInput,
  type Conversation,
  type ConversationsQuery,
  type StartDirectInput,
} from '../../models/channels/direct-message.model';
import type { Caller } from '../../models/identity/session.model';
import { afterTimeCursor, encodeTimeCursor } from '../../models/kernel/time-cursor.model';
import { toPublicUser, type UserDocument } from '../../models/user.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { channelNotFound, type Access } from '../access/access';
import type { ChannelMembers } from './channel-members';
import type { GuardedWrites } from '../access/guarded-writes';
import type { UserService } from '../user.service';

/** A conversation, and whether it has just been created. */
interface OpenedConversation {
  conversation: Conversation;
  created: boolean;
}

/**
 * Conversations outside of groups: between two people, who have exactly one permanent conversation, and of several people.
 * Any two users of the server may talk unless one has blocked the other. Conversations are hidden from everyone else.
 */
export class DirectMessageService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly members: ChannelMembers,
    private readonly users: UserService,
    private readonly writes: GuardedWrites,
  ) {}

  /**
   * Opens the conversation with one user, or starts a new one with several users.
   * @throws AppError not_found, direct_messages_closed, consent_required, bad_request (with oneself)
   */
  async start(caller: Caller, { userIds }: StartDirectInput): Promise<OpenedConversation> {
    const [otherId] = userIds;
    if (otherId === undefined || userIds.length > 1) return this.startGroup(caller, userIds);
    const { channel, created } = await this.openPair(caller, otherId);
    return { conversation: await this.show(channel), created };
  }

  /** Lists the caller's conversations, the one with the most recent message first. */
  async list({ userId }: Caller, query: ConversationsQuery): Promise<Page<Conversation>> {
    const rows = await this.collections.channelMembers
      .find({ userId, groupId: null, ...(query.cursor && afterTimeCursor('activeAt', query.cursor)) })
      .sort({ activeAt: -1, _id: -1 })
      .limit(query.limit + 1)
      .toArray();
    const page = cutPage(rows, query.limit, ({ activeAt, joinedAt, _id }) =>
      encodeTimeCursor({ at: activeAt ?? joinedAt, _id }),
    );
    const channels = await this.collections.channels
      .find({ _id: { $in: page.items.map(({ channelId }) => channelId) } })
      .toArray();
    const shown = await this.showAll(channels);
    const items = page.items.flatMap(({ channelId }) => shown.get(channelId.toHexString()) ?? []);
    return { items, nextCursor: page.nextCursor };
  }

  /**
   * Adds users to a conversation. A conversation of two is not changed: a new one with all of them is started.
   * @throws AppError not_found, direct_messages_closed, consent_required, too_many_people, bad_request (a channel of
   * a group, oneself)
   */
  async add(caller: Caller, channelId: string, { userIds }: AddPeopleInput): Promise<OpenedConversation> {
    const { channel } = await this.access.channel(caller, 'channel.add_people', channelId);
    if (channel.directKey !== undefined) {
      const both = userIdsOfDirectKey(channel.directKey).map((id) => id.toHexString());
      const others = new Set([...both, ...userIds].filter((id) => id !== caller.userId.toHexString()));
      const added = [...others].filter((id) => !both.includes(id));
      if (added.length === 0) return { conversation: await this.show(channel), created: false };
      return this.startGroup(caller, [...others]);
    }
    const after = await this.writes.inChannel(caller, 'channel.add_people', channel._id, {}, async () => {
      const people = await this.requireUsers(caller, 'direct.add', userIds);
      const inside = (await this.access.participantsOf([channel])).get(channel._id.toHexString()) ?? [];
      const known = new Set(inside.map((id) => id.toHexString()));
      const added = people.map(({ _id }) => _id).filter((id) => !known.has(id.toHexString()));
      if (inside.length + added.length > MAX_PARTICIPANTS) throw tooManyPeople();
      for (const id of added) await this.users.lockUndeleted(id.toHexString());
      await this.members.add(channel, added);
      return this.collections.channels.findOne({ _id: channel._id });
    });
    if (!after) throw channelNotFound();
    return { conversation: await this.show(after), created: false };
  }

  /** Finds or creates the conversation of two users. If both start it at the same moment, they get the same one. */
  private async openPair(
    caller: Caller,
    otherId: string,
  ): Promise<{ channel: ChannelDocument; created: boolean }> {
    const directKey = directKeyOf(caller.userId, new ObjectId(otherId));
    for (;;) {
      try {
        return await this.transactions.run(async () => {
          const people = await this.requireUsers(caller, 'direct.start', [otherId]);
          const found = await this.collections.channels.findOne({ directKey });
          if (found) return { channel: found, created: false };
          return { channel: await this.create(caller, people, directKey), created: true };
        });
      } catch (error) {
        // After an error, nothing can be read in the caller's transaction: the caller must run it again.
        if (duplicateIndex(error) !== 'direct_unique' || this.transactions.settled()) throw error;
      }
    }
  }

  private async startGroup(caller: Caller, userIds: string[]): Promise<OpenedConversation> {
    if (userIds.length + 1 > MAX_PARTICIPANTS) throw tooManyPeople();
    const channel = await this.transactions.run(async () =>
      this.create(caller, await this.requireUsers(caller, 'direct.add', userIds)),
    );
    return { conversation: await this.show(channel), created: true };
  }

  /** Creates a conversation. Part of a transaction. */
  private async create(
    { userId }: Caller,
    people: UserDocument[],
    directKey?: string,
  ): Promise<ChannelDocument> {
    const others = people.map(({ _id }) => _id);
    const now = new Date();
    const channel: ChannelDocument = {
      _id: new ObjectId(),
      kind: 'direct',
      groupId: null,
      name: '',
      topic: '',
      visibility: 'private',
      createdBy: userId,
      position: 0,
      slowModeSeconds: 0,
      announcementOnly: false,
      archivedAt: null,
      ...(directKey !== undefined && { directKey }),
      memberCount: 0,
      seq: 0,
      mainSeq: 0,
      revision: 0,
      createdAt: now,
      updatedAt: now,
    };
    // An account that is being deleted leaves the conversations that it finds. Without the lock it would miss this one.
    for (const id of [userId, ...others]) await this.users.lockUndeleted(id.toHexString());
    await this.collections.channels.insertOne(channel);
    await this.members.add(channel, [userId, ...others]);
    const made = await this.collections.channels.findOne({ _id: channel._id });
    if (!made) throw channelNotFound();
    return made;
  }

  /**
   * Finds users whom the caller may write to, or add to a conversation of several. Part of the transaction that does so.
   * @throws AppError not_found, direct_messages_closed, consent_required, bad_request (oneself)
   */
  private async requireUsers(
    caller: Caller,
    action: 'direct.start' | 'direct.add',
    userIds: string[],
  ): Promise<UserDocument[]> {
    if (userIds.includes(caller.userId.toHexString())) {
      throw new AppError('bad_request', 'You cannot start a conversation with yourself.');
    }
    const found = await this.users.findByIds(userIds.map((id) => new ObjectId(id)));
    const people = userIds.map((id) => found.get(id));
    for (const user of people) await this.access.requireDirect(caller, action, user);
    return people.flatMap((user) => user ?? []);
  }

  private async show(channel: ChannelDocument): Promise<Conversation> {
    const shown = await this.showAll([channel]);
    return shown.get(channel._id.toHexString())!;
  }

  /** @returns the conversations by the channel's id in hexadecimal digits. */
  private async showAll(channels: ChannelDocument[]): Promise<Map<string, Conversation>> {
    const people = await this.access.participantsOf(channels);
    const users = await this.users.findByIds([...people.values()].flat());
    return new Map(
      channels.map((channel) => {
        const id = channel._id.toHexString();
        const inside = (people.get(id) ?? []).flatMap((userId) => users.get(userId.toHexString()) ?? []);
        return [id, { channel: toChannel(channel), people: inside.map(toPublicUser) }];
      }),
    );
  }
}

function tooManyPeople(): AppError {
  return new AppError('too_many_people', `A conversation can have at most ${MAX_PARTICIPANTS} people.`);
}
