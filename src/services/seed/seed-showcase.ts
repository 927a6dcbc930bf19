import { rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import sharp from 'sharp';
import type { Caller, Origin } from '../../models/identity/session.model';
import type { AdminService } from '../admin.service';
import type { AnnouncementService } from '../operations/announcement.service';
import type { AvatarService } from '../files/avatar.service';
import type { BookmarkService } from '../messages/bookmark.service';
import type { ChannelMembershipService } from '../channels/channel-membership.service';
import type { ChannelOrderService } from '../channels/channel-order.service';
import type { ChannelRestrictionService } from '../moderation/channel-restriction.service';
import type { ChannelService } from '../channel.service';
import type { DirectMessageService } from '../channels/direct-message.service';
import type { DraftService } from '../writing/draft.service';
import type { GroupBanService } from '../moderation/group-ban.service';
import type { GroupMemberService } from '../groups/group-member.service';
import type { GroupService } from '../group.service';
import type { InviteService } from '../groups/invite.service';
import type { JoinRequestService } from '../groups/join-request.service';
import type { MessageService } from '../message.service';
import type { PinService } from '../messages/pin.service';
import type { PreferenceService } from '../users/preference.service';
import type { ReactionService } from '../messages/reaction.service';
import type { ReadService } from '../reading/read.service';
import type { ReportResolutionService } from '../moderation/report-resolution.service';
import type { ReportService } from '../moderation/report.service';
import type { RetentionService } from '../messages/retention.service';
import type { ScheduledMessageService } from '../writing/scheduled-message.service';
import type { UploadedFile } from '../../models/files/upload.model';
import type { UploadService } from '../files/upload.service';
import type { TemporaryUploads } from '../files/temporary-uploads';
import type { UserService } from '../user.service';

/** The services that the showcase uses: the same as clients. */
export interface ShowcaseServices {
  admin: AdminService;
  announcements: AnnouncementService;
  avatars: AvatarService;
  bookmarks: BookmarkService;
  channelMembership: ChannelMembershipService;
  channelOrder: ChannelOrderService;
  channelRestrictions: ChannelRestrictionService;
  channels: ChannelService;
  directMessages: DirectMessageService;
  drafts: DraftService;
  groupBans: GroupBanService;
  groupMembers: GroupMemberService;
  groups: GroupService;
  invites: InviteService;
  joinRequests: JoinRequestService;
  messages: MessageService;
  pins: PinService;
  preferences: PreferenceService;
  reactions: ReactionService;
  reads: ReadService;
  reportResolutions: ReportResolutionService;
  reports: ReportService;
  retention: RetentionService;
  scheduledMessages: ScheduledMessageService;
  temporaryUploads: TemporaryUploads;
  uploads: UploadService;
  users: UserService;
}

export interface ShowcaseUser {
  id: string;
  username: string;
  caller: Caller;
}

/** The number of users that the showcase requires. */
export const SHOWCASE_USER_COUNT = 8;

const ORIGIN: Origin = { address: '', userAgent: '' };
const LONG_FROM_NOW = '2999-01-01T00:00:00.000Z';

/** Creates a group that shows each feature of groups, channels and moderation once. */
export class SeedShowcase {
  private count = 0;

  constructor(private readonly services: ShowcaseServices) {}

  /** @param users at least SHOWCASE_USER_COUNT; the first is super admin, and the last one is suspended at the end. */
  async create(users: readonly ShowcaseUser[]): Promise<void> {
    const [admin, owner, moderator, member, newcomer, refused, banned, suspended] = users as [
      ShowcaseUser,
      ShowcaseUser,
      ShowcaseUser,
      ShowcaseUser,
      ShowcaseUser,
      ShowcaseUser,
      ShowcaseUser,
      ShowcaseUser,
    ];
    const { services } = this;
    await services.admin.changeRole(admin.caller, owner.id, 'group_admin', ORIGIN);
    const host: ShowcaseUser = { ...owner, caller: { ...owner.caller, role: 'group_admin' } };

    const groupId = await this.openGroup(host, [moderator, member, suspended], newcomer, refused);
    await services.groupMembers.changeRole(host.caller, groupId, moderator.id, 'moderator');
    await services.groupBans.ban(host.caller, groupId, banned.id, { reason: 'Advertised in every channel.' });
    const { general, news } = await this.openChannels(host, moderator, groupId);
    await this.writeMessages(general, host, moderator, member);
    await this.moderate(general, admin, moderator, member, suspended);
    const ban = { kind: 'banned', reason: 'Not in the news either.' } as const;
    await services.channelRestrictions.restrict(host.caller, news, suspended.id, ban);
    await this.writeDirectMessages(admin, host, moderator, member, newcomer);
    await this.closeOldGroup(host);
    await services.announcements.create(admin.caller, {
      title: 'Welcome',
      body: 'This server is filled with sample data.',
      level: 'info',
    });
    await services.preferences.update(member.caller, { notificationLevel: 'mentions', locale: 'pt' });
    await services.admin.suspend(
      admin.caller,
      suspended.id,
      { reason: 'Spam', until: LONG_FROM_NOW },
      ORIGIN,
    );
  }

  /** A public group with approval of members: some have joined, one has asked, one was rejected, two are invited. */
  private async openGroup(
    host: ShowcaseUser,
    admitted: ShowcaseUser[],
    newcomer: ShowcaseUser,
    refused: ShowcaseUser,
  ): Promise<string> {
    const { avatars, groups, joinRequests, invites } = this.services;
    const { id } = await groups.create(host.caller, {
      name: 'Book club',
      description: 'One book a month, and many opinions.',
      visibility: 'public',
      joinPolicy: 'approval',
    });
    await this.withPicture((file) => avatars.setForGroup(host.caller, id, file));
    for (const { caller } of [...admitted, newcomer, refused]) {
      await joinRequests.create(caller, id, 'I read a lot.');
    }
    for (const person of admitted) await joinRequests.approve(host.caller, id, person.id);
    await joinRequests.reject(host.caller, id, refused.id, 'We are full this month.');
    await invites.create(host.caller, id, { role: 'member', maxUses: 5, expiresAt: LONG_FROM_NOW });
    await invites.create(host.caller, id, { role: 'member', userId: refused.id });
    return id;
  }

  /** @returns the channel for everyone, and the one in which only moderators write. */
  private async openChannels(
    host: ShowcaseUser,
    moderator: ShowcaseUser,
    groupId: string,
  ): Promise<{ general: string; news: string }> {
    const { channels, channelMembership, channelOrder, retention } = this.services;
    const create = async (name: string, settings: object = {}): Promise<string> => {
      const input = { groupId, name, topic: '', visibility: 'public' as const, ...settings };
      return (await channels.create(host.caller, input)).id;
    };
    const general = await create('general');
    const news = await create('news', { announcementOnly: true });
    const slow = await create('slow', { slowModeSeconds: 30, topic: 'One thought at a time.' });
    const former = await create('last year');
    const organisers = await create('organisers', { visibility: 'private' });
    await channels.archive(host.caller, former);
    await channelOrder.arrange(host.caller, groupId, {
      channelIds: [news, general, slow, organisers, former],
    });
    await channelMembership.transfer(host.caller, organisers, moderator.id);
    await channelOrder.setDefault(host.caller, groupId, { channelId: general });
    await retention.set(host.caller, slow, { days: 90 });
    await this.send(host, news, 'The book of the month is chosen.');
    return { general, news };
  }

  /** A thread, a picture, a quote, mentions, reactions, a pin, a bookmark, an edit, a deletion, a draft and a scheduled message. */
  private async writeMessages(
    channelId: string,
    host: ShowcaseUser,
    moderator: ShowcaseUser,
    member: ShowcaseUser,
  ): Promise<void> {
    const { messages, reactions, pins, bookmarks, drafts, scheduledMessages, reads } = this.services;
    const root = await this.send(host, channelId, `Who has finished it? @${member.username}`);
    await this.send(member, channelId, 'Half of it.', { threadId: root });
    await this.send(moderator, channelId, 'All of it, twice.', { threadId: root });
    const cover = await this.upload(member, 'cover.png');
    await this.send(member, channelId, 'My edition has another cover.', { attachmentIds: [cover] });
    await this.send(moderator, channelId, 'Good question. @channel', { replyToId: root });
    for (const { caller } of [moderator, member]) await reactions.add(caller, root, '📚');
    await pins.pin(moderator.caller, root);
    await bookmarks.add(member.caller, root);
    const edited = await this.send(member, channelId, 'I liked teh ending.');
    await messages.edit(member.caller, edited, { body: 'I liked the ending.' });
    await messages.delete(member.caller, await this.send(member, channelId, 'Wrong channel.'));
    await drafts.save(member.caller, channelId, {}, { body: 'What I wanted to say about chapter three' });
    await scheduledMessages.create(host.caller, {
      channelId,
      body: 'We meet tonight.',
      sendAt: inAMonth(),
    });
    await reads.markRead(member.caller, channelId, { seq: 2 });
  }

  /** Three reports: one open, one claimed, one resolved with a mute. */
  private async moderate(
    channelId: string,
    admin: ShowcaseUser,
    moderator: ShowcaseUser,
    reporter: ShowcaseUser,
    offender: ShowcaseUser,
  ): Promise<void> {
    const { reports, reportResolutions } = this.services;
    const reported: string[] = [];
    for (const body of ['Buy my book!', 'Buy my other book!', 'Really, buy it!']) {
      const messageId = await this.send(offender, channelId, body);
      await reports.report(reporter.caller, messageId, { category: 'spam', note: 'Again.' });
      reported.push(messageId);
    }
    const open = await reports.list(admin.caller, { limit: 10, order: 'oldest' });
    const [first, second] = open.items;
    if (!first || !second) throw new Error('The reports of the sample data are not listed.');
    await reports.claim(moderator.caller, first.id);
    await reports.claim(moderator.caller, second.id);
    const resolution = { action: 'mute', reason: 'No advertising.', until: LONG_FROM_NOW } as const;
    await reportResolutions.resolve(moderator.caller, second.id, resolution, ORIGIN);
  }

  private async writeDirectMessages(
    admin: ShowcaseUser,
    host: ShowcaseUser,
    moderator: ShowcaseUser,
    member: ShowcaseUser,
    newcomer: ShowcaseUser,
  ): Promise<void> {
    const { directMessages, users } = this.services;
    const pair = await directMessages.start(admin.caller, { userIds: [host.id] });
    await this.send(admin, pair.conversation.channel.id, 'Thank you for hosting.');
    const three = await directMessages.start(host.caller, { userIds: [moderator.id, member.id] });
    await this.send(host, three.conversation.channel.id, 'Who brings the tea?');
    await users.block(member.caller, newcomer.id);
  }

  private async closeOldGroup(host: ShowcaseUser): Promise<void> {
    const { groups } = this.services;
    const { id } = await groups.create(host.caller, {
      name: 'Summer party',
      description: 'It was good.',
      visibility: 'private',
      joinPolicy: 'open',
    });
    await groups.archive(host.caller, id);
  }

  /** @returns the id of the upload: a picture of one colour. */
  private async upload({ caller }: ShowcaseUser, name: string): Promise<string> {
    const { id } = await this.withPicture((file) => this.services.uploads.add(caller, { ...file, name }));
    return id;
  }

  private async withPicture<Result>(use: (file: UploadedFile) => Promise<Result>): Promise<Result> {
    const cover = { width: 480, height: 640, channels: 3, background: '#2f6f73' } as const;
    const picture = await sharp({ create: cover }).png().toBuffer();
    const file = await this.services.temporaryUploads.receive(Readable.from([picture]));
    try {
      return await use(file);
    } finally {
      await rm(file.path, { force: true });
    }
  }

  /** @returns the id of the message. */
  private async send(
    { caller }: ShowcaseUser,
    channelId: string,
    body: string,
    references: { threadId?: string; replyToId?: string; attachmentIds?: string[] } = {},
  ): Promise<string> {
    const clientMessageId = `seed-showcase-${this.count++}`;
    const { message } = await this.services.messages.send(caller, channelId, {
      clientMessageId,
      body,
      ...references,
    });
    return message.id;
  }
}

function inAMonth(): string {
  return new Date(Date.now() + 30 * 24 * 3600_000).toISOString();
}
