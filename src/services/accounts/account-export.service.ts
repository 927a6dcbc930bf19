import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { ExportedRecord } from '../../models/accounts/account-export.model';
import { toAttachment, toStoredAttachment } from '../../models/files/attachment.model';
import { toDraft } from '../../models/writing/draft.model';
import { toGroup } from '../../models/group.model';
import { toInvite } from '../../models/groups/invite.model';
import { toMessageEdit } from '../../models/messages/message-edit.model';
import { toMessage, type Message, type MessageDocument } from '../../models/message.model';
import { toNotification } from '../../models/notifications/notification.model';
import { toPreferences } from '../../models/users/preferences.model';
import { toReportReceipt } from '../../models/moderation/report.model';
import { toScheduledMessage } from '../../models/writing/scheduled-message.model';
import { toSession, type Caller } from '../../models/identity/session.model';
import { toThreadFollow } from '../../models/messages/thread.model';
import { toPublicUser, toUser, type UserDocument } from '../../models/user.model';
import { toCall, type Call, type VideoCallDocument } from '../../models/video-call.model';
import type { Access } from '../access/access';

/** The number of messages that an export reads at a time. */
const READ_AHEAD = 1000;

/**
 * Exports the personal data of a user: everything that belongs to them, and their part of what concerns others too. It
 * excludes the names of moderators and admins who acted on them, and reports of others about them.
 */
export class AccountExportService {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
  ) {}

  /** Yields everything that is stored about the caller, one fact at a time. */
  async *export(caller: Caller): AsyncGenerator<ExportedRecord> {
    const { userId } = caller;
    const user = await this.collections.users.findOne({ _id: userId });
    if (!user) return;
    yield* this.account(caller, user);
    yield* this.groups(userId);
    yield* this.channels(userId);
    yield* this.annotations(userId);
    yield* this.content(userId);
  }

  private async *account(caller: Caller, user: UserDocument): AsyncGenerator<ExportedRecord> {
    const { sessions, auditLog, blocks, users, preferences, notifications } = this.collections;
    const { _id: userId, lastSeenAt } = user;
    yield { kind: 'user', data: toUser(user) };
    if (lastSeenAt) yield { kind: 'last_seen', data: { lastSeenAt: lastSeenAt.toISOString() } };
    for await (const session of sessions.find({ userId })) {
      yield { kind: 'session', data: toSession(session, caller) };
    }
    // Their own actions, and those that the server took against them automatically.
    for (const filter of [{ actorId: userId }, { targetId: userId, actorId: null }]) {
      for await (const { at, action, targetId, address, details } of auditLog.find(filter)) {
        const target = targetId?.toHexString() ?? null;
        yield {
          kind: 'audit_entry',
          data: { at: at.toISOString(), action, targetId: target, address, details },
        };
      }
    }
    for await (const { blockedId } of blocks.find({ userId })) {
      const blocked = await users.findOne({ _id: blockedId });
      if (blocked) yield { kind: 'block', data: toPublicUser(blocked) };
    }
    yield { kind: 'preferences', data: toPreferences(await preferences.findOne({ _id: userId })) };
    for await (const notification of notifications.find({ userId })) {
      yield { kind: 'notification', data: toNotification(notification) };
    }
  }

  private async *groups(userId: ObjectId): AsyncGenerator<ExportedRecord> {
    const { memberships, groups, invites, joinRequests, groupBans } = this.collections;
    for await (const { groupId, role, joinedAt } of memberships.find({ userId })) {
      const group = await groups.findOne({ _id: groupId });
      if (group)
        yield { kind: 'membership', data: { group: toGroup(group, role), joinedAt: joinedAt.toISOString() } };
      for await (const invite of invites.find({ groupId, createdBy: userId })) {
        yield { kind: 'invite_made', data: toInvite(invite) };
      }
    }
    for await (const { groupId, role, createdAt, expiresAt } of invites.find({ userId })) {
      const data = { groupId: groupId.toHexString(), role, ...timesOf({ createdAt, expiresAt }) };
      yield { kind: 'invite', data };
    }
    for await (const { groupId, note, createdAt, rejectedAt } of joinRequests.find({ userId })) {
      const data = { groupId: groupId.toHexString(), note, ...timesOf({ createdAt, rejectedAt }) };
      yield { kind: 'join_request', data };
    }
    for await (const { groupId, reason, createdAt, expiresAt } of groupBans.find({ userId })) {
      const data = { groupId: groupId.toHexString(), reason, ...timesOf({ createdAt, expiresAt }) };
      yield { kind: 'group_ban', data };
    }
  }

  private async *channels(userId: ObjectId): AsyncGenerator<ExportedRecord> {
    const { channelMembers, channelRestrictions, channelSettings, channelReads, threadFollows } =
      this.collections;
    for await (const { channelId, joinedAt } of channelMembers.find({ userId })) {
      const data = { channelId: channelId.toHexString(), ...timesOf({ joinedAt }) };
      yield { kind: 'channel_membership', data };
    }
    const restrictions = channelRestrictions.find({ userId });
    for await (const { channelId, kind, reason, createdAt, expiresAt } of restrictions) {
      const data = { channelId: channelId.toHexString(), kind, reason, ...timesOf({ createdAt, expiresAt }) };
      yield { kind: 'channel_restriction', data };
    }
    for await (const { channelId, notificationLevel } of channelSettings.find({ userId })) {
      yield { kind: 'channel_setting', data: { channelId: channelId.toHexString(), notificationLevel } };
    }
    for await (const { channelId, seq } of channelReads.find({ userId })) {
      yield { kind: 'read_marker', data: { channelId: channelId.toHexString(), readSeq: seq } };
    }
    for await (const follow of threadFollows.find({ userId })) {
      yield { kind: 'thread_follow', data: toThreadFollow(follow) };
    }
  }

  /** Bookmarks, reactions and reports. The messages are not exported: they belong to others. */
  private async *annotations(userId: ObjectId): AsyncGenerator<ExportedRecord> {
    const { bookmarks, messages, reports } = this.collections;
    for await (const { messageId, channelId, createdAt } of bookmarks.find({ userId })) {
      const ids = { messageId: messageId.toHexString(), channelId: channelId.toHexString() };
      yield { kind: 'bookmark', data: { ...ids, ...timesOf({ createdAt }) } };
    }
    const reacted = messages
      .find({ 'reactions.userIds': userId, reactions: { $exists: true } })
      .project<{ _id: ObjectId; channelId: ObjectId; reactions: { emoji: string; userIds: ObjectId[] }[] }>({
        channelId: 1,
        reactions: 1,
      });
    for await (const { _id, channelId, reactions } of reacted) {
      const ids = { messageId: _id.toHexString(), channelId: channelId.toHexString() };
      for (const { emoji, userIds } of reactions) {
        if (userIds.some((id) => id.equals(userId))) yield { kind: 'reaction', data: { ...ids, emoji } };
      }
    }
    for await (const report of reports.find({ reporterId: userId })) {
      yield { kind: 'report', data: toReportReceipt(report) };
    }
  }

  private async *content(userId: ObjectId): AsyncGenerator<ExportedRecord> {
    const { uploads, scheduledMessages, drafts, videoCalls, messages, messageEdits } = this.collections;
    for await (const upload of uploads.find({ userId })) {
      const attachment = toAttachment(toStoredAttachment(upload));
      yield { kind: 'upload', data: { ...attachment, ...timesOf({ createdAt: upload.createdAt }) } };
    }
    for await (const scheduled of scheduledMessages.find({ userId })) {
      yield { kind: 'scheduled_message', data: toScheduledMessage(scheduled) };
    }
    for await (const draft of drafts.find({ userId })) yield { kind: 'draft', data: toDraft(draft) };
    const readable = new Set((await this.access.readableChannelIds(userId)).map((id) => id.toHexString()));
    for await (const call of videoCalls.find({ 'participants.userId': userId }).batchSize(READ_AHEAD)) {
      const reads = readable.has(call.channelId.toHexString());
      yield { kind: 'call', data: reads ? toCall(call) : ownPartOfCall(call, userId) };
    }
    for await (const message of messages.find({ senderId: userId }).batchSize(READ_AHEAD)) {
      const reads = readable.has(message.channelId.toHexString());
      // A deleted message has no content.
      if (!reads && message.deletedAt) continue;
      yield { kind: 'message', data: reads ? toMessage(message) : ownPartOf(message) };
      if (!message.editedAt) continue;
      for await (const edit of messageEdits.find({ messageId: message._id })) {
        yield { kind: 'message_edit', data: toMessageEdit(edit) };
      }
    }
  }
}

/** Fields that others may have changed since the message was written, and the revision, which reveals such changes. */
const ADDED_LATER: readonly (keyof Message)[] = [
  'revision',
  'replyCount',
  'lastReplyAt',
  'reactions',
  'pinnedAt',
  'pinnedBy',
  'linkPreviews',
  'call',
  'deletedAt',
];

/** The part of a message that its author wrote, for a channel that they may no longer read. */
function ownPartOf(message: MessageDocument): Partial<Message> {
  const kept = Object.entries(toMessage(message)).filter(
    ([name]) => !ADDED_LATER.includes(name as keyof Message),
  );
  return Object.fromEntries(kept);
}

/** What a user did in a call, without the others, for a channel that they may no longer read. */
function ownPartOfCall(call: VideoCallDocument, userId: ObjectId): Partial<Call> {
  const { id, channelId, groupId, media, createdAt, participants } = toCall(call);
  const own = participants.filter((one) => one.userId === userId.toHexString());
  return { id, channelId, groupId, media, createdAt, participants: own };
}

/** Times in ISO 8601. */
function timesOf<Name extends string>(times: Record<Name, Date | null>): Record<Name, string | null> {
  const shown = Object.entries<Date | null>(times).map(([name, time]) => [name, time?.toISOString() ?? null]);
  return Object.fromEntries(shown) as Record<Name, string | null>;
}
