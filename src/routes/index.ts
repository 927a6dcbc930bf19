import type { Context } from '../context';
import { adminCallRoutes } from './admin-calls.routes';
import { adminGroupRoutes } from './admin-groups.routes';
import { adminRoutes } from './admin.routes';
import type { ApiRoute } from './api-route';
import { asyncApiRoute } from './asyncapi.routes';
import { authRoutes } from './auth.routes';
import { channelModerationRoutes } from './channel-moderation.routes';
import { channelReadRoutes } from './channel-reads.routes';
import { channelRoutes } from './channels.routes';
import { clientRoutes } from './client.routes';
import { draftRoutes } from './drafts.routes';
import { directMessageRoutes } from './direct-messages.routes';
import { groupBanRoutes } from './group-bans.routes';
import { groupMemberRoutes } from './group-members.routes';
import { groupRoutes } from './groups.routes';
import { healthRoutes } from './health.routes';
import { homeRoute } from './home.routes';
import { insightRoutes } from './insight.routes';
import { inviteRoutes } from './invites.routes';
import { joinRequestRoutes } from './join-requests.routes';
import { messageMarkRoutes } from './message-marks.routes';
import { messageReadingRoutes } from './message-reading.routes';
import { messageRoutes } from './messages.routes';
import { buildOpenApi, openApiRoute } from './openapi.routes';
import { presenceRoutes } from './presence.routes';
import { retentionRoutes } from './retention.routes';
import { scheduledMessageRoutes } from './scheduled-messages.routes';
import { searchRoutes } from './search.routes';
import { reportRoutes } from './reports.routes';
import { serverAdminRoutes } from './server-admin.routes';
import { syncRoutes } from './sync.routes';
import { uploadRoutes } from './upload.routes';
import { userRoutes } from './users.routes';
import { videoCallRoutes } from './video-call.routes';

/** Every route of the REST API. The OpenAPI document describes exactly these. */
export function apiRoutes(context: Context, version: string): ApiRoute[] {
  const { config, services, database } = context;
  const url = config.http.publicUrl ?? `http://localhost:${config.http.port}`;
  let document: Record<string, unknown> | undefined;
  const routes: ApiRoute[] = [
    homeRoute(version, url),
    openApiRoute(() => (document ??= buildOpenApi(routes, version))),
    asyncApiRoute(version, url),
    ...healthRoutes({
      pingDatabase: () => database.ping(),
      isAccepting: () => context.accepting,
      areJobsHealthy: () => context.jobs.status().every(({ failuresInRow }) => failuresInRow === 0),
      isRedisConnected: () => context.relay?.isConnected,
    }),
    ...authRoutes({
      auth: services.auth,
      sessions: services.sessions,
      credentials: services.credentials,
      emails: services.emails,
      users: services.users,
    }),
    ...userRoutes({
      users: services.users,
      accounts: services.accounts,
      accountExports: services.accountExports,
    }),
    ...clientRoutes({
      overview: services.overview,
      announcements: services.announcements,
      notifications: services.notifications,
      preferences: services.preferences,
    }),
    ...syncRoutes({ sync: services.sync, reads: services.reads, readVerifier: services.readVerifier }),
    ...adminRoutes({ admin: services.admin, adminUsers: services.adminUsers }),
    ...adminGroupRoutes(services.adminGroups),
    ...adminCallRoutes(services.callAdministration, services.callQuality),
    ...serverAdminRoutes({
      maintenance: services.maintenance,
      announcements: services.announcements,
      permissions: services.permissions,
    }),
    ...insightRoutes({
      statistics: services.statistics,
      diagnostics: services.diagnostics,
      exports: services.exports,
    }),
    ...groupRoutes(services.groups),
    ...groupMemberRoutes(services.groupMembers),
    ...groupBanRoutes(services.groupBans),
    ...joinRequestRoutes(services.joinRequests),
    ...inviteRoutes(services.invites),
    ...channelRoutes({
      channels: services.channels,
      membership: services.channelMembership,
      order: services.channelOrder,
    }),
    ...channelModerationRoutes(services.channelRestrictions),
    ...directMessageRoutes(services.directMessages),
    ...presenceRoutes(services.presence),
    ...retentionRoutes(services.retention),
    ...channelReadRoutes({ channelSummaries: services.channelSummaries, reads: services.reads }),
    ...messageRoutes(services.messages),
    ...messageReadingRoutes({
      history: services.history,
      threads: services.threads,
      receipts: services.receipts,
      channelSettings: services.channelSettings,
    }),
    ...messageMarkRoutes({
      reactions: services.reactions,
      pins: services.pins,
      bookmarks: services.bookmarks,
    }),
    ...videoCallRoutes(services),
    ...scheduledMessageRoutes(services.scheduledMessages),
    ...draftRoutes(services.drafts),
    ...searchRoutes(services.search),
    ...reportRoutes({ reports: services.reports, reportResolutions: services.reportResolutions }),
    ...uploadRoutes({ avatars: services.avatars, uploads: services.uploads }),
  ];
  return routes;
}
