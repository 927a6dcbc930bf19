import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { ChannelsModule } from '../channels/module';
import type { FilesModule } from '../files/module';
import type { GroupsModule } from '../groups/module';
import type { IdentityModule } from '../identity/module';
import type { Kernel } from '../kernel/module';
import type { UsersModule } from '../users/module';
import { AccountExportService } from './account-export.service';
import { AccountService } from './account.service';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  identity: IdentityModule;
  files: FilesModule;
  channels: ChannelsModule;
  groups: GroupsModule;
}

export type AccountsModule = ReturnType<typeof createAccounts>;

export function createAccounts(kernel: Kernel, needs: Needs) {
  const { audit } = needs.audit;
  const { superAdmins } = needs.users;
  const { sessions, credentials } = needs.identity;
  const { avatars, attachments } = needs.files;
  const { channelMembers } = needs.channels;
  const { memberships, admissions, groupLifecycle } = needs.groups;
  return {
    accounts: new AccountService({
      ...kernel,
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
    }),
    accountExports: new AccountExportService(kernel.collections, needs.access.access),
  };
}
