import type { Collection, Db, Document, ObjectId } from 'mongodb';
import type { AnnouncementDocument } from '../models/operations/announcement.model';
import type { AuditDocument, AuditHeadDocument } from '../models/audit/audit.model';
import type { UploadDocument } from '../models/files/attachment.model';
import type { BlockDocument } from '../models/users/block.model';
import type { ChannelChangeDocument } from '../models/channels/channel-change.model';
import type { BookmarkDocument } from '../models/messages/bookmark.model';
import type { ChannelSettingDocument } from '../models/channels/channel-setting.model';
import type { DraftDocument } from '../models/writing/draft.model';
import type { ScheduledMessageDocument } from '../models/writing/scheduled-message.model';
import type { ChannelReadDocument } from '../models/channels/channel-summary.model';
import type {
  ChannelDocument,
  ChannelMemberDocument,
  ChannelPurgeDocument,
  ChannelRestrictionDocument,
  SlowModeChangeDocument,
  SlowModeMarkDocument,
} from '../models/channel.model';
import type { GroupBanDocument } from '../models/moderation/group-ban.model';
import type { GroupDocument, MembershipDocument } from '../models/group.model';
import type { IdempotencyDocument } from '../models/idempotency/idempotency.model';
import type { InviteDocument } from '../models/groups/invite.model';
import type { JoinRequestDocument } from '../models/groups/join-request.model';
import type { MaintenanceDocument } from '../models/operations/maintenance.model';
import type { MessageEditDocument } from '../models/messages/message-edit.model';
import type { MessageDocument } from '../models/message.model';
import type { NodeDocument } from '../models/kernel/node.model';
import type { RelayedEventDocument } from '../models/kernel/relayed-event.model';
import type { NotificationDocument } from '../models/notifications/notification.model';
import type { PreferencesDocument } from '../models/users/preferences.model';
import type { OneTimeTokenDocument } from '../models/identity/one-time-token.model';
import type { ReportDocument } from '../models/moderation/report.model';
import type { SessionDocument } from '../models/identity/session.model';
import type { ThreadFollowDocument } from '../models/messages/thread.model';
import type { CountedToDocument, HourlyCountDocument } from '../models/admin/statistics.model';
import type { UserDocument } from '../models/user.model';
import type { CallQualityDocument } from '../models/calls/call-quality.model';
import type { VideoCallDocument } from '../models/video-call.model';
import type { ExclusiveLeaseDocument } from './exclusive-lease';
import { inTransactions, type Concerns, type Watcher } from './transaction';

/** A fact about the whole installation: one document each. */
export interface InstallationDocument {
  /** `first_account`: the user who registered first and became super admin. */
  _id: 'first_account';
  userId: ObjectId;
}

/** Counts the writes to what decides who may write to a channel, so that each node notices those of the others. */
export interface AccessWritesDocument {
  _id: 'access_writes';
  count: number;
}

/** Tells this database from all others: made at the first start of a server. */
export interface DatabaseIdentityDocument {
  _id: 'database';
  /** A UUID. */
  id: string;
}

/** When the last scheduled backup was made. */
export interface ScheduledBackupDocument {
  _id: 'scheduled_backup';
  startedAt: Date;
  completedAt: Date;
  bytes: number;
  /** How long it took. */
  seconds: number;
}

/** A collection whose documents are never changed or removed. */
export type AppendOnly<Schema extends Document> = Pick<
  Collection<Schema>,
  'insertOne' | 'find' | 'findOne' | 'countDocuments'
>;

/** The typed collections of the database. */
export interface Collections {
  users: Collection<UserDocument>;
  sessions: Collection<SessionDocument>;
  oneTimeTokens: Collection<OneTimeTokenDocument>;
  blocks: Collection<BlockDocument>;
  auditLog: AppendOnly<AuditDocument>;
  /** In `installation`. */
  auditHead: Collection<AuditHeadDocument>;
  /** In `installation`. */
  maintenance: Collection<MaintenanceDocument>;
  /** In `installation`. */
  hourlyCountsHead: Collection<CountedToDocument>;
  hourlyCounts: Collection<HourlyCountDocument>;
  announcements: Collection<AnnouncementDocument>;
  groups: Collection<GroupDocument>;
  memberships: Collection<MembershipDocument>;
  groupBans: Collection<GroupBanDocument>;
  joinRequests: Collection<JoinRequestDocument>;
  invites: Collection<InviteDocument>;
  channels: Collection<ChannelDocument>;
  channelMembers: Collection<ChannelMemberDocument>;
  /** In `channel_members`: writes of the time of the last message, which affect no rights. */
  channelActivity: Collection<ChannelMemberDocument>;
  channelChanges: Collection<ChannelChangeDocument>;
  channelRestrictions: Collection<ChannelRestrictionDocument>;
  slowModeMarks: Collection<SlowModeMarkDocument>;
  slowModeChanges: Collection<SlowModeChangeDocument>;
  channelReads: Collection<ChannelReadDocument>;
  channelPurges: Collection<ChannelPurgeDocument>;
  messages: Collection<MessageDocument>;
  messageEdits: Collection<MessageEditDocument>;
  uploads: Collection<UploadDocument>;
  bookmarks: Collection<BookmarkDocument>;
  channelSettings: Collection<ChannelSettingDocument>;
  threadFollows: Collection<ThreadFollowDocument>;
  scheduledMessages: Collection<ScheduledMessageDocument>;
  drafts: Collection<DraftDocument>;
  videoCalls: Collection<VideoCallDocument>;
  callQuality: Collection<CallQualityDocument>;
  reports: Collection<ReportDocument>;
  notifications: Collection<NotificationDocument>;
  preferences: Collection<PreferencesDocument>;
  installation: Collection<InstallationDocument>;
  /** In `installation`. */
  databaseIdentity: Collection<DatabaseIdentityDocument>;
  /** In `installation`. */
  accessWrites: Collection<AccessWritesDocument>;
  /** In `installation`. */
  scheduledBackup: Collection<ScheduledBackupDocument>;
  idempotencyKeys: Collection<IdempotencyDocument>;
  nodes: Collection<NodeDocument>;
  relayedEvents: Collection<RelayedEventDocument>;
  /** Leases of work that one process of the installation does at a time. */
  leases: Collection<ExclusiveLeaseDocument>;
}

/**
 * @param accessWritten runs after each write to what decides who may write to a channel: roles, memberships,
 *   restrictions, blocks, and the states of accounts.
 */
export function collectionsOf(db: Db, accessWritten: Watcher): Collections {
  const open = <Schema extends Document>(name: string, written?: Watcher, concerns?: Concerns) =>
    inTransactions(db.collection<Schema>(name), written, concerns);
  return {
    users: open('users', accessWritten, changesState),
    sessions: open('sessions'),
    oneTimeTokens: open('one_time_tokens'),
    blocks: open('blocks', accessWritten),
    auditLog: appendOnly(open('audit_log')),
    auditHead: open('installation'),
    maintenance: open('installation'),
    hourlyCountsHead: open('installation'),
    hourlyCounts: open('hourly_counts'),
    announcements: open('announcements'),
    groups: open('groups', accessWritten),
    memberships: open('memberships', accessWritten),
    groupBans: open('group_bans'),
    joinRequests: open('join_requests'),
    invites: open('invites'),
    channels: open('channels'),
    channelMembers: open('channel_members', accessWritten),
    channelActivity: open('channel_members'),
    channelChanges: open('channel_changes'),
    channelRestrictions: open('channel_restrictions', accessWritten),
    slowModeMarks: open('slow_mode_marks'),
    slowModeChanges: open('slow_mode_changes'),
    channelReads: open('channel_reads'),
    channelPurges: open('channel_purges'),
    messages: open('messages'),
    messageEdits: open('message_edits'),
    uploads: open('uploads'),
    bookmarks: open('bookmarks'),
    channelSettings: open('channel_settings'),
    threadFollows: open('thread_follows'),
    scheduledMessages: open('scheduled_messages'),
    drafts: open('drafts'),
    videoCalls: open('video_calls'),
    callQuality: open('call_quality'),
    reports: open('reports'),
    notifications: open('notifications'),
    preferences: open('preferences'),
    installation: open('installation'),
    databaseIdentity: open('installation'),
    accessWrites: open('installation'),
    scheduledBackup: open('installation'),
    idempotencyKeys: open('idempotency_keys'),
    nodes: open('nodes'),
    relayedEvents: open('relayed_events'),
    leases: open('leases'),
  };
}

const UPDATES: ReadonlySet<string> = new Set(['updateOne', 'updateMany', 'findOneAndUpdate']);
const INSERTS: ReadonlySet<string> = new Set(['insertOne', 'insertMany']);

/**
 * Whether a write to users may change the state of an account. Most writes change something else, and are frequent. An
 * account that is inserted is new to everybody.
 */
function changesState(operation: string, parameters: readonly unknown[]): boolean {
  if (INSERTS.has(operation)) return false;
  if (operation === 'bulkWrite') {
    const [writes] = parameters as [Record<string, Document>[]];
    return writes.some((write) =>
      Object.entries(write).some(([name, { filter, update }]) => changesState(name, [filter, update])),
    );
  }
  if (!UPDATES.has(operation)) return true;
  const [, update] = parameters as [unknown, Document | Document[]];
  return Array.isArray(update) || Object.values(update).some((fields: object) => 'state' in fields);
}

/** Enforces the rule at run time, too: the object has no method that changes or removes. */
function appendOnly<Schema extends Document>(collection: Collection<Schema>): AppendOnly<Schema> {
  return {
    insertOne: (...parameters) => collection.insertOne(...parameters),
    find: collection.find.bind(collection),
    findOne: collection.findOne.bind(collection),
    countDocuments: (...parameters) => collection.countDocuments(...parameters),
  };
}
