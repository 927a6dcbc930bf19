import { MongoServerError, type Collection, type Db, type IndexDescription } from 'mongodb';
import { MAX_SLOW_MODE_SECONDS } from '../models/channel.model';

/** Notifications are kept for 90 days. */
const NOTIFICATION_SECONDS = 90 * 24 * 3600;
/** Measurements of the quality of calls are kept for 90 days. */
const CALL_QUALITY_SECONDS = 90 * 24 * 3600;
/** The document of a node that was killed is kept for an hour. */
const DEAD_NODE_SECONDS = 3600;
/** How long events for other nodes are kept: longer than nodes read back. */
const RELAYED_EVENT_SECONDS = 300;
/** Rejected join requests are kept for 30 days. */
const REJECTION_SECONDS = 30 * 24 * 3600;
/**
 * Keeps version 0.1.0 from starting on a database that was migrated: it does not know of migrations, and would store users
 * without keys. It creates an index with this name and another definition when it starts, which fails. The index is always
 * empty.
 */
const FENCE: IndexDescription = {
  name: 'search',
  key: { this_database_requires_a_newer_version_of_Parley: 1 },
  partialFilterExpression: { this_database_requires_a_newer_version_of_Parley: { $exists: true } },
};
/** Serves the clean-up of uploads, which asks whether an avatar is in use. */
const AVATAR: IndexDescription = {
  name: 'avatar',
  key: { avatarId: 1 },
  partialFilterExpression: { avatarId: { $exists: true } },
};

/**
 * A unique index of a field that not every document has. It can be created before a migration fills the field, so that
 * the migration meets the duplicates.
 */
function uniqueWhereSet(name: string, field: string, within?: string): IndexDescription {
  return {
    name,
    key: { ...(within && { [within]: 1 }), [field]: 1 },
    unique: true,
    partialFilterExpression: { [field]: { $exists: true } },
  };
}

/** All indexes, by collection. A duplicate key error is recognised by the name of the unique index. */
const INDEXES: Record<string, IndexDescription[]> = {
  users: [
    // A deleted account has no name keys, and an account without a confirmed address has no `emailKey`.
    uniqueWhereSet('username_key_unique', 'searchName'),
    uniqueWhereSet('username_lookalike_unique', 'nameLookalikes'),
    uniqueWhereSet('email_key_unique', 'emailKey'),
    FENCE,
    { name: 'display_search', key: { displaySearch: 1, _id: 1 } },
    { name: 'display_lookalike', key: { displayLookalikes: 1, displayKey: 1 } },
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
  video_calls: [
    {
      name: 'channel_open_unique',
      key: { channelId: 1, open: 1 },
      unique: true,
      partialFilterExpression: { open: { $exists: true } },
    },
    // Of several keys: no user is in the list of two calls.
    uniqueWhereSet('in_call_unique', 'inCall'),
    {
      name: 'group_open',
      key: { groupId: 1, open: 1 },
      partialFilterExpression: { open: { $exists: true } },
    },
    {
      name: 'participant_open',
      key: { 'participants.userId': 1, open: 1 },
      partialFilterExpression: { open: { $exists: true } },
    },
    { name: 'participant_order', key: { 'participants.userId': 1, _id: 1 } },
    { name: 'participant_outcome', key: { 'participants.userId': 1, outcome: 1, _id: 1 } },
    { name: 'starter_order', key: { startedBy: 1, _id: 1 } },
    { name: 'channel_order', key: { channelId: 1, _id: 1 } },
    { name: 'open_order', key: { open: 1, _id: 1 }, partialFilterExpression: { open: { $exists: true } } },
    { name: 'due', key: { dueAt: 1 }, partialFilterExpression: { dueAt: { $exists: true } } },
    {
      name: 'record_due',
      key: { recordDue: 1, _id: 1 },
      partialFilterExpression: { recordDue: { $exists: true } },
    },
  ],
  call_quality: [
    { name: 'pair_unique', key: { callId: 1, reporterId: 1, remoteId: 1 }, unique: true },
    { name: 'channel_call', key: { channelId: 1, callId: 1 } },
    { name: 'expiry', key: { updatedAt: 1 }, expireAfterSeconds: CALL_QUALITY_SECONDS },
  ],
  audit_log: [
    { name: 'seq_unique', key: { seq: 1 }, unique: true },
    { name: 'action_order', key: { action: 1, seq: 1 } },
    { name: 'actor_order', key: { actorId: 1, seq: 1 } },
    { name: 'target_order', key: { targetId: 1, seq: 1 } },
    { name: 'time', key: { at: 1 } },
  ],
  groups: [
    uniqueWhereSet('name_key_unique', 'nameKey'),
    uniqueWhereSet('name_lookalike_unique', 'nameLookalikes'),
    { name: 'name_search', key: { searchName: 1, _id: 1 } },
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
    // Direct messages have no names.
    uniqueWhereSet('group_name_key_unique', 'nameKey', 'groupId'),
    uniqueWhereSet('group_name_lookalike_unique', 'nameLookalikes', 'groupId'),
    { name: 'group_order', key: { groupId: 1, _id: 1 } },
    { name: 'group_position', key: { groupId: 1, position: 1, _id: 1 } },
    {
      name: 'name_search',
      key: { searchName: 1, _id: 1 },
      partialFilterExpression: { searchName: { $exists: true } },
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
  slow_mode_changes: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'expiry', key: { changedAt: 1 }, expireAfterSeconds: MAX_SLOW_MODE_SECONDS },
  ],
  channel_reads: [
    { name: 'channel_user_unique', key: { channelId: 1, userId: 1 }, unique: true },
    { name: 'user', key: { userId: 1 } },
  ],
  reports: [
    {
      // It also serves the count of a user's pending reports.
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
    { name: 'group_kind_user', key: { groupId: 1, kind: 1, userId: 1 } },
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
      // It contains only the few messages with reactions.
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
      // A whole word is a better match than the prefix of a longer one.
      name: 'channel_text',
      key: { channelId: 1, body: 'text', 'search.keys': 'text' },
      weights: { body: 8, 'search.keys': 1 },
      // Chats mix languages: no stemming, no stop words, and no language field.
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
    // It serves the uploads of a scheduled message, and abandoned uploads by their age.
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
  nodes: [{ name: 'expiry', key: { aliveUntil: 1 }, expireAfterSeconds: DEAD_NODE_SECONDS }],
  relayed_events: [{ name: 'expiry', key: { at: 1 }, expireAfterSeconds: RELAYED_EVENT_SECONDS }],
};

/** The error codes for an index with the same name or the same fields and other options. */
const INDEX_CONFLICTS = new Set<unknown>([85, 86]);

/** Returns the indexes that a database lacks, as `collection.name`. Collections that do not exist yet are left out. */
export async function missingIndexes(db: Db): Promise<string[]> {
  const collections = await db.listCollections({}, { nameOnly: true }).toArray();
  const missing = await Promise.all(
    collections.map(async ({ name }) => {
      const existing = new Set((await db.collection(name).indexes()).map((index) => index.name));
      const wanted = Object.hasOwn(INDEXES, name) ? (INDEXES[name] ?? []) : [];
      return wanted.filter((index) => !existing.has(index.name)).map((index) => `${name}.${index.name}`);
    }),
  );
  return missing.flat();
}

/** Creates missing indexes. Replaces an index whose definition differs from the one here. */
export async function createIndexes(db: Db): Promise<void> {
  for (const [collection, indexes] of Object.entries(INDEXES)) {
    const target = db.collection(collection);
    const ours = new Set(indexes.map(({ name }) => name));
    for (const index of await createUnlessInConflict(target, indexes)) {
      await replaceIndex(target, index, ours);
    }
  }
}

/** Creates missing indexes. @returns false if there are indexes whose definition differs: they are left as they are */
export async function createMissingIndexes(db: Db): Promise<boolean> {
  let complete = true;
  for (const [collection, indexes] of Object.entries(INDEXES)) {
    const conflicts = await createUnlessInConflict(db.collection(collection), indexes);
    if (conflicts.length > 0) complete = false;
  }
  return complete;
}

/** Creates the missing ones of some indexes. @returns those that another index prevents from being created */
async function createUnlessInConflict(
  collection: Collection,
  indexes: IndexDescription[],
): Promise<IndexDescription[]> {
  try {
    await collection.createIndexes(indexes);
    return [];
  } catch (error) {
    if (!(error instanceof MongoServerError) || !INDEX_CONFLICTS.has(error.code)) throw error;
    // The command has created none of them.
    if (indexes.length === 1) return indexes;
    const conflicts: IndexDescription[] = [];
    for (const index of indexes) conflicts.push(...(await createUnlessInConflict(collection, [index])));
    return conflicts;
  }
}

/**
 * Creates one index. Drops the conflicting ones first: the index of the same name, and an obsolete one of the same
 * fields.
 */
async function replaceIndex(
  collection: Collection,
  index: IndexDescription,
  ours: ReadonlySet<string | undefined>,
): Promise<void> {
  try {
    await collection.createIndexes([index]);
  } catch (error) {
    if (!(error instanceof MongoServerError) || !INDEX_CONFLICTS.has(error.code)) throw error;
    const fields = JSON.stringify(index.key);
    const inTheWay = (await collection.indexes()).filter(
      ({ name, key }) => name === index.name || (JSON.stringify(key) === fields && !ours.has(name)),
    );
    for (const { name } of inTheWay) await collection.dropIndex(String(name));
    await collection.createIndexes([index]);
  }
}

/**
 * Drops indexes by their names, if they exist.
 * @param names as keys of the collections.
 */
export async function dropIndexes(db: Db, names: Record<string, readonly string[]>): Promise<void> {
  const collections = await db.listCollections({}, { nameOnly: true }).toArray();
  for (const { name } of collections) {
    if (!Object.hasOwn(names, name)) continue;
    const collection = db.collection(name);
    const existing = (await collection.indexes()).map((index) => index.name);
    for (const index of names[name] ?? []) {
      if (existing.includes(index)) await collection.dropIndex(index);
    }
  }
}
