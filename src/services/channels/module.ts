import type { AccessModule } from '../access/module';
import type { AuditModule } from '../audit/module';
import { ChannelService } from '../channel.service';
import type { FilesModule } from '../files/module';
import type { Kernel } from '../kernel/module';
import { observeCaches } from '../kernel/observations';
import type { NotificationsModule } from '../notifications/module';
import type { PresenceModule } from '../presence/module';
import type { ReadingModule } from '../reading/module';
import type { UsersModule } from '../users/module';
import { ChannelChanges } from './channel-changes';
import { ChannelCounts } from './channel-counts';
import { ChannelMembers } from './channel-members';
import { ChannelMembershipService } from './channel-membership.service';
import { ChannelMemory } from './channel-memory';
import { ChannelOrderService } from './channel-order.service';
import { ChannelPurger } from './channel-purger';
import { ChannelSettingService } from './channel-setting.service';
import { ChannelSummaries } from './channel-summaries';
import { DirectMessageService } from './direct-message.service';
import { GroupChannels } from './group-channels';

interface Needs {
  audit: AuditModule;
  access: AccessModule;
  users: UsersModule;
  files: FilesModule;
  notifications: NotificationsModule;
  reading: ReadingModule;
  presence: PresenceModule;
}

export type ChannelsModule = ReturnType<typeof createChannels>;

export function createChannels(kernel: Kernel, needs: Needs) {
  const { collections, transactions, bus, queue, jobs } = kernel;
  const { audit } = needs.audit;
  const { access, writes } = needs.access;
  const { users, blocks } = needs.users;
  const { notifications } = needs.notifications;
  const { markers, counts: readCounts } = needs.reading;
  const counts = new ChannelCounts(access);
  const memory = new ChannelMemory(bus);
  observeCaches(kernel.telemetry, { channels: memory.channels });
  const changes = new ChannelChanges(collections, transactions, counts, memory, bus);
  const members = new ChannelMembers(collections, transactions, queue, changes, markers, bus);
  const purger = new ChannelPurger(collections, transactions, needs.files.attachments, jobs);
  const groupChannels = new GroupChannels(collections, bus);
  const order = new ChannelOrderService({ ...kernel, access, writes, changes, counts, groupChannels, audit });
  const shared = { ...kernel, access, writes, members, changes, counts, purger, audit };
  return {
    channelCounts: counts,
    channelChanges: changes,
    channelMemory: memory,
    channelMembers: members,
    channelPurger: purger,
    channelOrder: order,
    channels: new ChannelService({ ...shared, markers, groupChannels, order }),
    channelMembership: new ChannelMembershipService({ ...shared, users, notifications }),
    channelSettings: new ChannelSettingService(collections, transactions, access, bus),
    channelSummaries: new ChannelSummaries(collections, access, blocks, readCounts, needs.presence.presence),
    directMessages: new DirectMessageService(collections, transactions, access, members, users, writes),
  };
}
