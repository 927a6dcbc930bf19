import type { CollationOptions, Db, IndexDescription } from 'mongodb';
import { MAX_SLOW_MODE_SECONDS } from '../models/channel.model';

/**
 * How names are compared where case does not count: users' names and addresses, groups' and channels' names.
 * A query uses the case-insensitive index only if it asks with the same collation.
 */
export const CASE_INSENSITIVE: CollationOptions = { locale: 'en', strength: 2 };

/** Seconds for which a notification is kept: 90 days. */
const NOTIFICATION_SECONDS = 90 * 24 * 3600;
/** Seconds for which it is remembered that somebody was not let into a group: 30 days. */
const REJECTION_SECONDS = 30 * 24 * 3600;
/** By which the sweeper of uploads asks whether somebody has an avatar. */
const AVATAR: IndexDescription = {
  name: 'avatar',
  key: { avatarId: 1 },
  partialFilterExpression: { avatarId: { $exists: true } },
};

/** Every index, by collection. The name of a unique one is what a duplicate key error is recognised by. */
const INDEXES: Record<string, IndexDescription[]> = {
  users: [
    { name: 'username_unique', key: { username: 1 }, unique: true, collation: CASE_INSENSITIVE },
    {
      name: 'email_unique',
      key: { email: 1 },
      unique: true,
      collation: CASE_INSENSITIVE,
      // An account without a confirmed address, and a deleted one, has none.
      partialFilterExpression: { email: { $exists: true } },
    },
    { name: 'search', key: { searchName: 1 } },
    { name: 'display_name', key: { displayName: 1, _id: 1 }, collation: CASE_INSENSITIVE },
    { name: 'role_state_order', key: { role: 1, state: 1, _id: 1 } },
    { name: 'role_order', key: { role: 1, _id: 1 } },
    { name: 'state_order', key: { state: 1, _id: 1 } },
    {
      name: 'suspension_end',
      key: { 'suspension.until': 1 },
      partialFilterExpression: { 'suspension.until': { $exists: true } },
    },
    AVATAR,
  ],
  sessions: [
    { name: 'user_standing_order', key: { userId: 1, revokedAt: 1, lastSeenAt: -1, _id: -1 } },
    { name: 'expiry', key: { expiresAt: 1 }, expireAfterSeconds: 0 },
  ],
  one_time_tokens: [
    { name: 'hash_unique', key: { hash: 1 }, unique: true },
    { name: 'channel_order', key: { channelId: 1, _id: 1 } },
    { name: 'user_kind', key: { userId: 1, kind: 1 } },
    { name: 'expiry', key: { expiresAt: 1 }, expireAfterSeconds: 0 },
  ],
  blocks: [
    { name: 'user_blocked_unique', key: { userId: 1, blockedId: 1 }, unique: true },
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'blocked', key: { blockedId: 1 } },
  ],
  announcements: [{ name: 'end', key: { endsAt: 1 } }],
  audit_log: [
    { name: 'seq_unique', key: { seq: 1 }, unique: true },
    { name: 'action_order', key: { action: 1, seq: 1 } },
    { name: 'actor_order', key: { actorId: 1, seq: 1 } },
    { name: 'target_order', key: { targetId: 1, seq: 1 } },
    { name: 'time', key: { at: 1 } },
  ],
  groups: [
    { name: 'name_unique', key: { name: 1 }, unique: true, collation: CASE_INSENSITIVE },
    { name: 'creator', key: { createdBy: 1 } },
    { name: 'visibility_order', key: { visibility: 1, _id: 1 } },
    {
      name: 'archived_order',
      key: { _id: 1, archivedAt: 1 },
      partialFilterExpression: { archivedAt: { $type: 'date' } },
    },
    { name: 'listing', key: { 'listing.place': 1 } },
    { name: 'listing_words', key: { 'listing.words': 1 } },
    AVATAR,
  ],
  memberships: [
    { name: 'group_user_unique', key: { groupId: 1, userId: 1 }, unique: true },
    { name: 'group_order', key: { groupId: 1, _id: 1 } },
    { name: 'group_role_order', key: { groupId: 1, role: 1, _id: 1 } },
    { name: 'user_order', key: { userId: 1, groupId: 1 } },
  ],
  channels: [
    {
      name: 'group_name_unique',
      key: { groupId: 1, name: 1 },
      unique: true,
      collation: CASE_INSENSITIVE,
      // Direct conversations have neither.
      partialFilterExpression: { kind: 'group' },
    },
    { name: 'group_order', key: { groupId: 1, _id: 1 } },
    { name: 'group_position', key: { groupId: 1, position: 1, _id: 1 } },
    {
      name: 'name_order',
      key: { name: 1, _id: 1 },
      collation: CASE_INSENSITIVE,
      partialFilterExpression: { kind: 'group' },
    },
    { name: 'kind_visibility_order', key: { kind: 1, visibility: 1, _id: 1 } },
    { name: 'kind_order', key: { kind: 1, _id: 1 } },
    {
      name: 'archived_order',
      key: { _id: 1, archivedAt: 1 },
      partialFilterExpression: { archivedAt: { $type: 'date' } },
    },
    {
      name: 'retention',
      key: { retentionDays: 1 },
      partialFilterExpression: { retentionDays: { $gt: 0 } },
    },
    {
      name: 'direct_unique',
      key: { directKey: 1 },
      unique: true,
      partialFilterExpression: { directKey: { $exists: true } },
    },
  ],
  channel_members: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'channel_order', key: { channelId: 1, _id: 1 } },
    { name: 'user_group_activity', key: { userId: 1, groupId: 1, activeAt: -1, _id: -1 } },
  ],
  channel_changes: [
    { name: 'channel_revision_unique', key: { channelId: 1, revision: 1 }, unique: true },
    { name: 'subject_unique', key: { channelId: 1, kind: 1, userId: 1 }, unique: true },
  ],
  group_bans: [
    { name: 'group_user_unique', key: { groupId: 1, userId: 1 }, unique: true },
    { name: 'group_order', key: { groupId: 1, _id: 1 } },
    { name: 'user', key: { userId: 1 } },
    { name: 'expiry', key: { expiresAt: 1 }, expireAfterSeconds: 0 },
  ],
  join_requests: [
    { name: 'group_user_unique', key: { groupId: 1, userId: 1 }, unique: true },
    { name: 'group_order', key: { groupId: 1, rejectedAt: 1, _id: 1 } },
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'expiry', key: { rejectedAt: 1 }, expireAfterSeconds: REJECTION_SECONDS },
  ],
  invites: [
    {
      name: 'hash_unique',
      key: { hash: 1 },
      unique: true,
      partialFilterExpression: { hash: { $exists: true } },
    },
    {
      name: 'group_user_unique',
      key: { groupId: 1, userId: 1 },
      unique: true,
      partialFilterExpression: { userId: { $exists: true } },
    },
    { name: 'group_order', key: { groupId: 1, _id: 1 } },
    { name: 'group_creator', key: { groupId: 1, createdBy: 1 } },
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'expiry', key: { expiresAt: 1 }, expireAfterSeconds: 0 },
  ],
  channel_restrictions: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'user_kind', key: { userId: 1, kind: 1 } },
    { name: 'group_user', key: { groupId: 1, userId: 1 } },
    { name: 'ending', key: { expiresAt: 1 } },
  ],
  slow_mode_marks: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'expiry', key: { sentAt: 1 }, expireAfterSeconds: MAX_SLOW_MODE_SECONDS },
  ],
  channel_reads: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'user', key: { userId: 1 } },
  ],
  reports: [
    {
      // By it, too, how many reports of somebody wait.
      name: 'pending_unique',
      key: { reporterId: 1, messageId: 1 },
      unique: true,
      partialFilterExpression: { pending: true },
    },
    { name: 'reporter', key: { reporterId: 1 } },
    { name: 'state_order', key: { state: 1, _id: 1 } },
    { name: 'group_order', key: { groupId: 1, _id: 1 } },
    { name: 'group_state_order', key: { groupId: 1, state: 1, _id: 1 } },
  ],
  notifications: [
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'user_read_order', key: { userId: 1, readAt: 1, _id: 1 } },
    { name: 'group_kind', key: { groupId: 1, kind: 1 } },
    {
      name: 'mention',
      key: { messageId: 1 },
      partialFilterExpression: { kind: 'mention' },
    },
    { name: 'expiry', key: { createdAt: 1 }, expireAfterSeconds: NOTIFICATION_SECONDS },
  ],
  messages: [
    { name: 'channel_seq_unique', key: { channelId: 1, seq: 1 }, unique: true },
    { name: 'channel_revision_unique', key: { channelId: 1, revision: 1 }, unique: true },
    { name: 'channel_created', key: { channelId: 1, createdAt: 1 } },
    {
      name: 'deleted',
      key: { channelId: 1, seq: 1 },
      partialFilterExpression: { deletedAt: { $type: 'date' } },
    },
    { name: 'thread_seq', key: { channelId: 1, threadId: 1, seq: 1 } },
    {
      name: 'pinned',
      key: { channelId: 1, pinnedRevision: 1 },
      partialFilterExpression: { pinnedRevision: { $exists: true } },
    },
    {
      // Of the messages without reactions, which are nearly all, it holds nothing.
      name: 'reactor',
      key: { 'reactions.userIds': 1 },
      partialFilterExpression: { reactions: { $exists: true } },
    },
    { name: 'sender_place', key: { senderId: 1, channelId: 1, seq: 1 } },
    {
      name: 'mention',
      key: { mentionIds: 1, channelId: 1, seq: 1 },
      partialFilterExpression: { mentionIds: { $exists: true } },
    },
    {
      name: 'everyone_mention',
      key: { mentionsEveryone: 1, channelId: 1, seq: 1 },
      partialFilterExpression: { mentionsEveryone: { $exists: true } },
    },
    {
      name: 'attachment',
      key: { 'attachments.uploadId': 1, channelId: 1 },
      partialFilterExpression: { 'attachments.uploadId': { $exists: true } },
    },
    {
      // A word that somebody wrote tells more than the beginning of a longer one.
      name: 'channel_text',
      key: { channelId: 1, body: 'text', 'search.keys': 'text' },
      weights: { body: 8, 'search.keys': 1 },
      // Chats mix languages: words are neither stemmed nor left out, and no field of a message names a language.
      default_language: 'none',
      language_override: 'textLanguage',
    },
    {
      name: 'sender_client_id_unique',
      key: { senderId: 1, clientMessageId: 1 },
      unique: true,
      partialFilterExpression: { clientMessageId: { $exists: true } },
    },
  ],
  message_edits: [{ name: 'message_order', key: { messageId: 1, _id: 1 } }],
  uploads: [
    { name: 'user_uses', key: { userId: 1, uses: 1 } },
    // Those of a scheduled message, and those that nobody waits for by their age.
    {
      name: 'unsent',
      key: { reservedFor: 1, createdAt: 1 },
      partialFilterExpression: { uses: 0 },
    },
  ],
  bookmarks: [
    { name: 'user_message_unique', key: { userId: 1, messageId: 1 }, unique: true },
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'message', key: { messageId: 1 } },
    { name: 'channel', key: { channelId: 1 } },
  ],
  channel_settings: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'user', key: { userId: 1 } },
  ],
  thread_follows: [
    { name: 'thread_user_unique', key: { threadId: 1, userId: 1 }, unique: true },
    { name: 'user_following', key: { userId: 1, following: 1, _id: 1 } },
    { name: 'channel', key: { channelId: 1 } },
  ],
  scheduled_messages: [
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'due', key: { state: 1, dueAt: 1 } },
  ],
  drafts: [
    { name: 'user_place_unique', key: { userId: 1, channelId: 1, threadId: 1 }, unique: true },
    { name: 'user_order', key: { userId: 1, _id: 1 } },
    { name: 'channel', key: { channelId: 1 } },
    {
      name: 'client_message_id',
      key: { clientMessageId: 1 },
      partialFilterExpression: { clientMessageId: { $exists: true } },
    },
  ],
  idempotency_keys: [{ name: 'expiry', key: { expiresAt: 1 }, expireAfterSeconds: 0 }],
};

/** Creates what is missing; existing indexes are left as they are. */
export async function createIndexes(db: Db): Promise<void> {
  for (const [collection, indexes] of Object.entries(INDEXES)) {
    await db.collection(collection).createIndexes(indexes);
  }
}
