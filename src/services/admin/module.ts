import type { AccessModule } from '../access/module';
import type { AccountsModule } from '../accounts/module';
import { AdminService } from '../admin.service';
import type { AuditModule } from '../audit/module';
import type { ChannelsModule } from '../channels/module';
import type { FilesModule } from '../files/module';
import type { GroupsModule } from '../groups/module';
import type { IdentityModule } from '../identity/module';
import type { Kernel } from '../kernel/module';
import type { OperationsModule } from '../operations/module';
import type { UsersModule } from '../users/module';
import { AdminGroupService } from './admin-groups.service';
import { AdminUserService } from './admin-users.service';
import { ExportService } from './export.service';
import { COUNTING_INTERVAL_MS, HourlyCounts } from './hourly-counts';
import { PermissionService } from './permission.service';
import { StatisticsService } from './statistics.service';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  operations: OperationsModule;
  identity: IdentityModule;
  files: FilesModule;
  channels: ChannelsModule;
  groups: GroupsModule;
  accounts: AccountsModule;
}

export type AdminModule = ReturnType<typeof createAdmin>;

export function createAdmin(kernel: Kernel, needs: Needs) {
  const { collections, transactions, bus, jobs } = kernel;
  const { audit } = needs.audit;
  const { access } = needs.access;
  const { users, superAdmins } = needs.users;
  const { sessions, credentials } = needs.identity;
  const { accounts } = needs.accounts;
  const { channels, channelMembership, channelCounts: counts } = needs.channels;
  const { groupLifecycle, groupMembers: members } = needs.groups;
  const { diagnostics } = needs.operations;
  const adminUsers = new AdminUserService(collections, access, bus);
  const hourlyCounts = new HourlyCounts(collections, transactions);
  jobs.add({
    name: 'hourly_counts',
    intervalMs: COUNTING_INTERVAL_MS,
    scope: 'cluster',
    run: (signal) => hourlyCounts.advance(signal),
  });
  return {
    adminUsers,
    admin: new AdminService({
      ...kernel,
      access,
      sessions,
      superAdmins,
      audit,
      accounts,
      credentials,
      users: adminUsers,
    }),
    adminGroups: new AdminGroupService({
      ...kernel,
      access,
      counts,
      users,
      lifecycle: groupLifecycle,
      members,
      channels,
      channelMembership,
    }),
    statistics: new StatisticsService(
      collections,
      access,
      hourlyCounts,
      needs.files.storageUsage,
      diagnostics,
    ),
    exports: new ExportService(collections, access, counts, audit),
    permissions: new PermissionService(access, users),
  };
}
