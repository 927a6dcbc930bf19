import type { AccessModule } from '../access/module';
import type { CallsModule } from '../calls/module';
import type { ChannelsModule } from '../channels/module';
import type { UploadLimits } from '../files/upload.service';
import type { GroupsModule } from '../groups/module';
import type { Kernel } from '../kernel/module';
import type { NotificationsModule } from '../notifications/module';
import type { OperationsModule } from '../operations/module';
import type { PresenceModule } from '../presence/module';
import type { ReadingModule } from '../reading/module';
import type { UsersModule } from '../users/module';
import { OverviewService } from './overview.service';
import { SyncService } from './sync.service';

interface Needs {
  access: AccessModule;
  users: UsersModule;
  operations: OperationsModule;
  notifications: NotificationsModule;
  reading: ReadingModule;
  presence: PresenceModule;
  channels: ChannelsModule;
  groups: GroupsModule;
  calls: CallsModule;
}

export function createCatchUp(kernel: Kernel, needs: Needs, settings: { uploads: UploadLimits }) {
  const { collections, transactions } = kernel;
  const { access } = needs.access;
  const { users, preferences } = needs.users;
  const { announcements } = needs.operations;
  const { notifications } = needs.notifications;
  const { presence } = needs.presence;
  const { channelCounts, channelSummaries: summaries } = needs.channels;
  const { joinRequests, invites } = needs.groups;
  return {
    sync: new SyncService(collections, transactions, access, needs.reading.counts, channelCounts),
    overview: new OverviewService({
      ...kernel,
      access,
      users,
      summaries,
      channelCounts,
      notifications,
      joinRequests,
      invites,
      announcements,
      preferences,
      presence,
      callHistory: needs.calls.callHistory,
      uploads: settings.uploads,
    }),
  };
}
