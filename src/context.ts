import { join } from 'node:path';
import type { Config } from './config/env.config';
import { openDatabase, type Database } from './db/mongodb';
import { Access } from './services/access/access';
import { AccessFacts } from './services/access/access-facts';
import { AccountExportService } from './services/accounts/account-export.service';
import { AccountService } from './services/accounts/account.service';
import { AdminGroupService } from './services/admin/admin-groups.service';
import { AdminUserService } from './services/admin/admin-users.service';
import { AdminService } from './services/admin.service';
import { AnnouncementService } from './services/operations/announcement.service';
import { ATTACHMENT_FOLDERS, Attachments } from './services/files/attachments';
import { AuditService } from './services/audit/audit.service';
import { AuthService } from './services/identity/auth.service';
import { ChannelCounts } from './services/channels/channel-counts';
import { ChannelChanges } from './services/channels/channel-changes';
import { ChannelMembers } from './services/channels/channel-members';
import { AVATAR_FOLDER, AvatarService } from './services/files/avatar.service';
import { ChannelPurger } from './services/channels/channel-purger';
import { ChannelMembershipService } from './services/channels/channel-membership.service';
import { ChannelOrderService } from './services/channels/channel-order.service';
import { ChannelQueue } from './services/kernel/channel-queue';
import { Blocks } from './services/users/blocks';
import { BookmarkService } from './services/messages/bookmark.service';
import { ChannelSettingService } from './services/channels/channel-setting.service';
import { ChannelRestrictionService } from './services/moderation/channel-restriction.service';
import { ChannelSummaries } from './services/channels/channel-summaries';
import { ChannelService } from './services/channel.service';
import { CredentialService } from './services/identity/credential.service';
import { DraftService } from './services/writing/draft.service';
import { DirectMessageService } from './services/channels/direct-message.service';
import { DiagnosticsService } from './services/operations/diagnostics.service';
import { EmailService } from './services/identity/email.service';
import { EventBus } from './services/kernel/event-bus';
import { ExportService } from './services/admin/export.service';
import { LocalFileStorage } from './services/files/file-storage';
import { GroupBanService } from './services/moderation/group-ban.service';
import { GroupChannels } from './services/channels/group-channels';
import { GroupLifecycle } from './services/groups/group-lifecycle';
import { GroupMemberService } from './services/groups/group-member.service';
import { GuardedWrites } from './services/access/guarded-writes';
import { GroupService } from './services/group.service';
import { HourlyCounts } from './services/admin/hourly-counts';
import { IdempotencyService } from './services/idempotency/idempotency.service';
import { InviteService } from './services/groups/invite.service';
import { JoinRequestService } from './services/groups/join-request.service';
import { KeyRecords } from './services/idempotency/key-records';
import { LastSeen } from './services/presence/last-seen';
import { Lifecycle } from './services/kernel/lifecycle';
import { LinkFetcher, publicWeb, type LinkPolicy } from './services/writing/link-fetcher';
import { LinkPreviewService } from './services/writing/link-preview.service';
import { LiveConnections } from './services/operations/live-connections';
import { ImageProcessor } from './services/files/image-processor';
import { MailService } from './services/operations/mail.service';
import { MaintenanceService } from './services/operations/maintenance.service';
import { Memberships } from './services/groups/memberships';
import { MentionNotices } from './services/messages/mention-notices';
import { Mentions } from './services/messages/mentions';
import { MessageChanges } from './services/messages/message-changes';
import { MessageComposer, type MessageDraft } from './services/messages/message-composer';
import { MessageEraser } from './services/messages/message-eraser';
import { MessageHistory } from './services/messages/message-history';
import { MessageWriter, type SentMessage } from './services/messages/message-writer';
import { MessageService } from './services/message.service';
import { NotificationService } from './services/notifications/notification.service';
import { OneTimeTokenService } from './services/identity/one-time-token.service';
import { PasswordHasher } from './services/identity/password';
import { OverviewService } from './services/catch-up/overview.service';
import { PendingAdmissions } from './services/groups/pending-admissions';
import { PendingChanges } from './services/identity/pending-changes';
import { PinService } from './services/messages/pin.service';
import { PreferenceService } from './services/users/preference.service';
import { RecentErrors } from './services/operations/recent-errors';
import { PresenceService } from './services/presence/presence.service';
import { ReactionService } from './services/messages/reaction.service';
import { ReadCounts } from './services/reading/read-counts';
import { ReadMarkers } from './services/reading/read-markers';
import { ReadReceipts } from './services/reading/read-receipts';
import { ReadVerifier } from './services/reading/read-verifier';
import { ReadService } from './services/reading/read.service';
import { PermissionService } from './services/admin/permission.service';
import { NodeRelay } from './services/kernel/node-relay';
import { SessionCache } from './services/identity/session-cache';
import { SessionRecheck } from './services/identity/session-recheck';
import { RefreshGrace } from './services/identity/refresh-grace';
import { RetentionService } from './services/messages/retention.service';
import { ScheduledMessageService } from './services/writing/scheduled-message.service';
import { ScheduledSender } from './services/writing/scheduled-sender';
import { SearchService } from './services/search/search.service';
import { ReportResolutionService } from './services/moderation/report-resolution.service';
import { ReportService } from './services/moderation/report.service';
import { SessionService } from './services/identity/session.service';
import { SyncService } from './services/catch-up/sync.service';
import { SlowMode } from './services/messages/slow-mode';
import { StatisticsService } from './services/admin/statistics.service';
import { StorageUsage } from './services/files/storage-usage';
import { SuperAdmins } from './services/users/super-admins';
import { ThreadService } from './services/messages/thread.service';
import { ThreadRoots } from './services/messages/thread-roots';
import { ThrottleService } from './services/operations/throttle.service';
import { Timings } from './services/operations/timings';
import { TokenService } from './services/identity/token.service';
import { TotpService } from './services/identity/totp.service';
import { TypingService } from './services/presence/typing.service';
import { UploadService } from './services/files/upload.service';
import { UploadSpool } from './services/files/upload-spool';
import { UploadSweeper } from './services/files/upload-sweeper';
import { UserService } from './services/user.service';
import { createLogger, type Logger } from './utils/logger';
import { deriveSealingKey } from './utils/sealed-box';

/**
 * Where there are several nodes: milliseconds after which a node finds out by itself what none has told it, because
 * Redis was away or the node that did it has died.
 */
const RECHECK = 10_000;

/** Everything that Parley is made of, wired once. */
export type Context = Awaited<ReturnType<typeof createContext>>;

/** What a test or an embedding program may put in the place of the real part. */
export interface ContextOverrides {
  database?: Database;
  logger?: Logger;
  linkPolicy?: LinkPolicy;
  /** The time by which refresh tokens are exchanged. */
  clock?: () => Date;
}

/**
 * Opens the database and constructs everything on it. Nothing runs in the background until `start`; `close` gives
 * everything back. A database that was handed in is left open.
 */
export async function createContext(config: Config, overrides: ContextOverrides = {}) {
  const logger = overrides.logger ?? createLogger(config.logLevel);
  const lifecycle = new Lifecycle(logger);
  const database =
    overrides.database ??
    (await openDatabase({
      uri: config.database.uri,
      name: config.database.name,
      dataDir: config.dataDir,
      logger,
    }));
  if (!overrides.database) lifecycle.register('database', { stop: () => database.close() });
  try {
    return construct(config, overrides, logger, database, lifecycle);
  } catch (error) {
    await lifecycle.stop().catch(() => undefined);
    throw error;
  }
}

/** Constructs every service, and registers those that have work of their own. */
function construct(
  config: Config,
  overrides: ContextOverrides,
  logger: Logger,
  database: Database,
  lifecycle: Lifecycle,
) {
  const { collections, transactions } = database;
  const spool = new UploadSpool(join(config.uploadDir, 'tmp'));
  const storage = new LocalFileStorage(config.uploadDir, spool.folder, [
    AVATAR_FOLDER,
    ...ATTACHMENT_FOLDERS,
  ]);

  const bus = new EventBus(transactions);
  const relay = new NodeRelay(bus, config.redisUrl, config.database.name, logger);
  const recheck = config.redisUrl === undefined ? undefined : RECHECK;
  const publicUrl = config.http.publicUrl ?? `http://localhost:${config.http.port}`;
  const { jwtSecret, previousJwtSecret, accessTokenSeconds, refreshTokenSeconds } = config.auth;
  const tokens = new TokenService(jwtSecret, previousJwtSecret, accessTokenSeconds);
  const oneTimeTokens = new OneTimeTokenService(collections);
  const audit = new AuditService(collections, transactions);
  const facts = new AccessFacts(collections, transactions, database.accessVersion);
  const access = new Access(collections, facts, audit, config.groups.creation);
  const throttle = new ThrottleService({ ...config.throttle, redisUrl: config.redisUrl }, logger);
  const mailOptions = { ...config.mail, toLog: config.environment !== 'production' };
  const mail = new MailService(mailOptions, transactions, logger);
  const emails = new EmailService(collections, transactions, mail, oneTimeTokens, throttle, audit, publicUrl);
  const passwords = new PasswordHasher(config.auth.bcryptCost);
  const maintenance = new MaintenanceService(collections, transactions, access, audit, bus);
  const pending = new PendingChanges(collections);
  const sessions = new SessionService(
    collections,
    transactions,
    bus,
    tokens,
    audit,
    maintenance,
    new SessionCache(collections, bus, recheck),
    new RefreshGrace(config.encryptionKey),
    pending,
    refreshTokenSeconds,
    overrides.clock,
  );
  const connections = new LiveConnections(config.sockets.perUser);
  const peers = new LiveConnections(config.sockets.perUser);
  const sessionRecheck = new SessionRecheck(collections, bus, [connections, peers], recheck, logger);
  const totp = new TotpService(
    collections,
    transactions,
    audit,
    deriveSealingKey(config.encryptionKey, 'second factor'),
    logger,
  );
  const superAdmins = new SuperAdmins(collections);
  const markers = new ReadMarkers(collections);
  const counts = new ReadCounts(collections, markers);
  const errors = new RecentErrors();
  const slowMode = new SlowMode(collections);
  const roots = new ThreadRoots(collections);
  const lastSeen = new LastSeen(collections, transactions, logger);
  const presence = new PresenceService(collections, access, bus, lastSeen, config.presence);
  const blocks = new Blocks(collections);
  const notifications = new NotificationService(collections, blocks, throttle, bus);
  const mentions = new Mentions(collections, access);
  const notices = new MentionNotices(collections, access, presence, notifications);
  const attachments = new Attachments(collections, transactions, storage, logger);
  const composer = new MessageComposer(collections, access, mentions, attachments);
  const writer = new MessageWriter(
    collections,
    transactions,
    access,
    composer,
    attachments,
    slowMode,
    markers,
    roots,
    notices,
    notifications,
    bus,
  );
  const queue = new ChannelQueue<MessageDraft, SentMessage>(transactions, (channelId, drafts) =>
    writer.commit(channelId, drafts),
  );
  const writes = new GuardedWrites(transactions, access, queue);
  const purger = new ChannelPurger(collections, transactions, attachments, logger);
  const users = new UserService(collections, transactions, bus);
  const channelCounts = new ChannelCounts(collections);
  const changes = new ChannelChanges(collections, transactions, channelCounts, bus);
  const messageChanges = new MessageChanges(collections, transactions, access, queue, changes, bus);
  const eraser = new MessageEraser(collections, messageChanges, attachments, notifications, bus);
  const channelMembers = new ChannelMembers(collections, transactions, queue, changes, markers, bus);
  const admissions = new PendingAdmissions(collections, blocks, notifications, bus);
  const memberships = new Memberships(
    collections,
    transactions,
    queue,
    channelMembers,
    markers,
    admissions,
    bus,
  );
  const groupChannels = new GroupChannels(collections, bus);
  const channelOrder = new ChannelOrderService(
    collections,
    access,
    writes,
    queue,
    changes,
    channelCounts,
    groupChannels,
    audit,
  );
  const messages = new MessageService(
    collections,
    queue,
    messageChanges,
    eraser,
    slowMode,
    mentions,
    notices,
    notifications,
    audit,
  );
  const scheduledSender = new ScheduledSender(
    collections,
    transactions,
    messages,
    notifications,
    maintenance,
    bus,
    logger,
  );
  const retention = new RetentionService(
    collections,
    transactions,
    writes,
    changes,
    channelCounts,
    queue,
    markers,
    attachments,
    audit,
    logger,
  );
  const drafts = new DraftService(collections, transactions, access, bus, logger);
  const linkPreviews = new LinkPreviewService(
    transactions,
    messages,
    new LinkFetcher(overrides.linkPolicy ?? publicWeb()),
    bus,
    logger,
    config.linkPreviews.enabled,
  );
  const channelRestrictions = new ChannelRestrictionService(
    collections,
    transactions,
    access,
    writes,
    channelCounts,
    users,
    blocks,
    notifications,
    queue,
    audit,
    bus,
    logger,
  );
  const images = new ImageProcessor();
  const avatars = new AvatarService(collections, transactions, writes, audit, bus, images, storage, logger);
  const uploads = new UploadService(
    collections,
    transactions,
    access,
    sessions,
    tokens,
    images,
    attachments,
    storage,
    config.uploads,
  );
  const groupLifecycle = new GroupLifecycle(
    collections,
    transactions,
    queue,
    channelMembers,
    admissions,
    notifications,
    avatars,
    purger,
    audit,
    bus,
  );
  const receipts = new ReadReceipts(collections, access, users, bus, logger);
  const sweeper = new UploadSweeper(collections, transactions, attachments, storage, spool.folder, logger);
  const credentials = new CredentialService(
    collections,
    transactions,
    passwords,
    sessions,
    totp,
    emails,
    mail,
    oneTimeTokens,
    pending,
    throttle,
    audit,
    publicUrl,
  );
  const accounts = new AccountService(
    collections,
    transactions,
    bus,
    queue,
    channelMembers,
    sessions,
    credentials,
    superAdmins,
    audit,
    avatars,
    attachments,
    memberships,
    admissions,
    groupLifecycle,
  );
  const adminUsers = new AdminUserService(collections, access, bus);
  const admin = new AdminService(
    collections,
    transactions,
    access,
    bus,
    sessions,
    superAdmins,
    audit,
    accounts,
    credentials,
    adminUsers,
  );
  const timings = new Timings();
  const hourlyCounts = new HourlyCounts(collections, transactions, logger);
  const reports = new ReportService(collections, transactions, access, users, notifications, audit);
  const groupMembers = new GroupMemberService(
    collections,
    transactions,
    access,
    writes,
    memberships,
    users,
    throttle,
    notifications,
    audit,
  );
  const groupBans = new GroupBanService(
    collections,
    access,
    writes,
    admissions,
    memberships,
    users,
    notifications,
    audit,
  );
  const channels = new ChannelService(
    collections,
    access,
    writes,
    channelMembers,
    markers,
    changes,
    channelCounts,
    groupChannels,
    channelOrder,
    purger,
    audit,
    bus,
  );
  const channelMembership = new ChannelMembershipService(
    collections,
    access,
    writes,
    channelMembers,
    changes,
    channelCounts,
    users,
    purger,
    notifications,
    audit,
  );
  const joinRequests = new JoinRequestService(
    collections,
    transactions,
    access,
    writes,
    admissions,
    memberships,
    users,
    notifications,
    audit,
    bus,
  );
  const invites = new InviteService(
    collections,
    transactions,
    access,
    writes,
    admissions,
    memberships,
    users,
    blocks,
    throttle,
    notifications,
    audit,
    bus,
  );
  const announcements = new AnnouncementService(collections, transactions, access, audit, bus);
  const preferences = new PreferenceService(collections, transactions, bus);
  const typing = new TypingService(collections, access, presence, bus);
  const channelSummaries = new ChannelSummaries(collections, access, blocks, counts, presence);
  const services = {
    access,
    blocks,
    auth: new AuthService(
      collections,
      transactions,
      bus,
      passwords,
      sessions,
      totp,
      throttle,
      emails,
      maintenance,
    ),
    audit,
    sessions,
    sessionRecheck,
    credentials,
    emails,
    throttle,
    accounts,
    accountExports: new AccountExportService(collections, access),
    admin,
    adminUsers,
    adminGroups: new AdminGroupService(
      collections,
      access,
      channelCounts,
      users,
      groupLifecycle,
      groupMembers,
      channels,
      channelMembership,
    ),
    statistics: new StatisticsService(
      collections,
      access,
      hourlyCounts,
      new StorageUsage(storage),
      connections,
    ),
    diagnostics: new DiagnosticsService(access, users, connections, timings, errors),
    exports: new ExportService(collections, access, channelCounts, audit),
    maintenance,
    announcements,
    connections,
    /** The connections of PeerJS clients, which are counted by themselves. */
    peers,
    timings,
    errors,
    users,
    permissions: new PermissionService(access, users),
    avatars,
    uploads,
    spool,
    storage,
    sweeper,
    notifications,
    preferences,
    overview: new OverviewService(
      collections,
      access,
      users,
      channelSummaries,
      channelCounts,
      notifications,
      joinRequests,
      invites,
      announcements,
      preferences,
      presence,
      config.uploads,
    ),
    groups: new GroupService(collections, transactions, access, writes, groupLifecycle, bus),
    groupMembers,
    groupBans,
    joinRequests,
    invites,
    channels,
    channelMembership,
    channelOrder,
    channelRestrictions,
    directMessages: new DirectMessageService(collections, transactions, access, channelMembers, users, queue),
    channelSummaries,
    reads: new ReadService(transactions, access, markers, counts, bus),
    readVerifier: new ReadVerifier(collections, transactions, access, queue, markers, counts, errors, logger),
    sync: new SyncService(collections, transactions, access, counts, channelCounts),
    presence,
    typing,
    idempotency: new IdempotencyService(
      new KeyRecords(collections),
      transactions,
      config.encryptionKey,
      logger,
    ),
    messages,
    history: new MessageHistory(collections, access),
    reactions: new ReactionService(access, messageChanges, slowMode, users),
    pins: new PinService(collections, access, messageChanges, audit),
    threads: new ThreadService(collections, transactions, access, bus),
    bookmarks: new BookmarkService(collections, transactions, access, bus),
    channelSettings: new ChannelSettingService(collections, transactions, access, bus),
    receipts,
    scheduledMessages: new ScheduledMessageService(
      collections,
      transactions,
      access,
      attachments,
      scheduledSender,
      bus,
    ),
    drafts,
    retention,
    search: new SearchService(collections, access),
    reports,
    reportResolutions: new ReportResolutionService(
      collections,
      transactions,
      access,
      reports,
      messages,
      channelRestrictions,
      groupBans,
      admin,
      notifications,
      audit,
    ),
  };
  // In the order in which they depend on each other: what is registered first is started first and stopped last.
  lifecycle.register('file storage', storage);
  lifecycle.register('other nodes', relay);
  lifecycle.register('session recheck', sessionRecheck);
  lifecycle.register('throttling', throttle);
  lifecycle.register('password hashing', passwords);
  lifecycle.register('mail', mail);
  // After the other nodes: what they have set before it reads is in the database, what they set later arrives.
  lifecycle.register('maintenance', maintenance);
  lifecycle.register('presence', presence);
  lifecycle.register('typing', { stop: () => typing.close() });
  lifecycle.register('upload sweeper', sweeper);
  lifecycle.register('read receipts', receipts);
  lifecycle.register('hourly counts', hourlyCounts);
  lifecycle.register('channel purger', purger);
  lifecycle.register('channel restrictions', channelRestrictions);
  lifecycle.register('drafts', drafts);
  lifecycle.register('link previews', linkPreviews);
  lifecycle.register('retention', retention);
  lifecycle.register('scheduled messages', scheduledSender);

  return {
    config,
    logger,
    database,
    bus,
    services,
    /** Whether new work is taken; false from the moment the server is told to stop. */
    accepting: true,
    /**
     * Starts what runs in the background. It is the server's to call: a script works on the services without it.
     * When a part cannot be started, everything is closed.
     * @throws StartError
     */
    start: () => lifecycle.start(),
    /** Gives everything back, whether it was started or not. @throws AggregateError of what could not be closed */
    close: () => lifecycle.stop(),
  };
}

export type Services = Context['services'];
