import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import type { ChannelsModule } from '../channels/module';
import type { FilesModule } from '../files/module';
import { GroupService } from '../group.service';
import type { Kernel } from '../kernel/module';
import type { NotificationsModule } from '../notifications/module';
import type { OperationsModule } from '../operations/module';
import type { ReadingModule } from '../reading/module';
import type { UsersModule } from '../users/module';
import { GroupLifecycle } from './group-lifecycle';
import { GroupMemberService } from './group-member.service';
import { InviteService } from './invite.service';
import { JoinRequestService } from './join-request.service';
import { Memberships } from './memberships';
import { PendingAdmissions } from './pending-admissions';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  operations: OperationsModule;
  files: FilesModule;
  notifications: NotificationsModule;
  reading: ReadingModule;
  channels: ChannelsModule;
}

export type GroupsModule = ReturnType<typeof createGroups>;

export function createGroups(kernel: Kernel, needs: Needs) {
  const { collections, transactions, bus } = kernel;
  const { audit } = needs.audit;
  const { access, writes } = needs.access;
  const { users, blocks } = needs.users;
  const { throttle } = needs.operations;
  const { notifications } = needs.notifications;
  const { channelMembers, channelPurger: purger } = needs.channels;
  const { markers } = needs.reading;
  const { avatars } = needs.files;
  const admissions = new PendingAdmissions(collections, access, blocks, notifications, bus);
  const memberships = new Memberships({ ...kernel, channelMembers, markers, admissions });
  const lifecycle = new GroupLifecycle({
    ...kernel,
    channelMembers,
    admissions,
    notifications,
    avatars,
    purger,
    audit,
  });
  const shared = { ...kernel, access, writes, memberships, users, notifications, audit };
  return {
    admissions,
    memberships,
    groupLifecycle: lifecycle,
    groups: new GroupService(collections, transactions, access, writes, lifecycle, bus),
    groupMembers: new GroupMemberService({ ...shared, throttle }),
    joinRequests: new JoinRequestService({ ...shared, admissions }),
    invites: new InviteService({ ...shared, admissions, blocks, throttle }),
  };
}
