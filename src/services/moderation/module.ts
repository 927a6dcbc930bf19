import type { AccessModule } from '../access/module';
import type { AdminModule } from '../admin/module';
import type { AuditModule } from '../audit/module';
import type { ChannelsModule } from '../channels/module';
import type { GroupsModule } from '../groups/module';
import type { Kernel } from '../kernel/module';
import type { MessagesModule } from '../messages/module';
import type { NotificationsModule } from '../notifications/module';
import type { UsersModule } from '../users/module';
import { ChannelRestrictionService } from './channel-restriction.service';
import { GroupBanService } from './group-ban.service';
import { ReportResolutionService } from './report-resolution.service';
import { ReportService } from './report.service';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  notifications: NotificationsModule;
  channels: ChannelsModule;
  groups: GroupsModule;
  messages: MessagesModule;
  admin: AdminModule;
}

export function createModeration(kernel: Kernel, needs: Needs) {
  const { collections, transactions } = kernel;
  const { audit } = needs.audit;
  const { access, writes } = needs.access;
  const { users, blocks } = needs.users;
  const { notifications } = needs.notifications;
  const { channelCounts: counts } = needs.channels;
  const { admissions, memberships } = needs.groups;
  const { messages } = needs.messages;
  const { admin } = needs.admin;
  const shared = { ...kernel, access, writes, users, notifications, audit };
  const restrictions = new ChannelRestrictionService({ ...shared, counts, blocks });
  const groupBans = new GroupBanService({ ...shared, admissions, memberships });
  const reports = new ReportService(collections, transactions, access, users, notifications, audit);
  return {
    channelRestrictions: restrictions,
    groupBans,
    reports,
    reportResolutions: new ReportResolutionService({
      ...shared,
      reports,
      messages,
      restrictions,
      groupBans,
      admin,
    }),
  };
}
