import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { AuditAction } from '../../models/audit/audit.model';
import {
  toChannelRestriction,
  type ChannelRestriction,
  type RestrictInput,
  type RestrictionsQuery,
} from '../../models/moderation/channel-restriction.model';
import { type ChannelDocument, type ChannelRestrictionDocument } from '../../models/channel.model';
import type { Caller } from '../../models/identity/session.model';
import type { UserDocument } from '../../models/user.model';
import type { Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { channelNotFound, type Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { BackgroundJob } from '../kernel/background-job';
import type { Jobs } from '../kernel/jobs';
import type { Blocks } from '../users/blocks';
import type { ChannelCounts } from '../channels/channel-counts';
import type { EventBus } from '../kernel/event-bus';
import type { GuardedWrites } from '../access/guarded-writes';
import type { MembershipStatus } from '../access/read-access';
import type { NotificationService } from '../notifications/notification.service';
import { pageOfUsers } from '../users/user-pages';
import type { UserService } from '../user.service';

/** Who ends a restriction: a moderator, or null if it expires. */
type EndedBy = Pick<Caller, 'userId' | 'address'> | null;

/** The dependencies of ChannelRestrictionService. */
export interface ChannelRestrictionServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  writes: GuardedWrites;
  counts: ChannelCounts;
  users: UserService;
  blocks: Blocks;
  notifications: NotificationService;
  audit: AuditService;
  bus: EventBus;
  jobs: Jobs;
}

/** How often expired restrictions are looked for in any case: another node may have stored some. */
const RESTRICTIONS_INTERVAL_MS = 60_000;

/** Mutes and bans in channels. They end automatically when they expire. */
export class ChannelRestrictionService {
  private readonly job: BackgroundJob;

  constructor(private readonly deps: ChannelRestrictionServiceDeps) {
    this.job = deps.jobs.add({
      name: 'channel_restrictions',
      intervalMs: RESTRICTIONS_INTERVAL_MS,
      scope: 'node',
      run: (signal) => this.endDue(signal),
    });
  }

  /**
   * Mutes or bans a user in a channel; replaces an earlier restriction. In effect when this resolves: a banned user
   * receives nothing more of the channel on any device.
   * @throws AppError not_found, forbidden, direct_channel, bad_request (the caller, or a user who is not in the group or
   * in the private channel)
   */
  async restrict(
    caller: Caller,
    channelId: string,
    userId: string,
    input: RestrictInput,
  ): Promise<ChannelRestriction> {
    const subjectId = new ObjectId(userId);
    const action = 'channel.moderate';
    return this.deps.writes.inChannel(caller, action, channelId, { subjectId }, async ({ channel }) => {
      if (subjectId.equals(caller.userId))
        throw new AppError('bad_request', 'You cannot mute or ban yourself.');
      const user = await this.deps.users.lockUndeleted(userId);
      if (!(await this.deps.access.membershipStatusOf(channel, subjectId)).belongs) {
        throw new AppError('bad_request', 'The user is not in the channel.');
      }
      return this.write(caller, channel, user, input);
    });
  }

  /** Ends a mute or ban. Idempotent. @throws AppError not_found, forbidden, direct_channel */
  async lift(caller: Caller, channelId: string, userId: string): Promise<void> {
    const subjectId = new ObjectId(userId);
    await this.deps.writes.inChannel(caller, 'channel.moderate', channelId, { subjectId }, ({ channel }) =>
      this.end(channel, subjectId, caller),
    );
  }

  /** The mutes and bans in force in a channel; requires the role moderator. @throws AppError not_found, forbidden */
  async list(caller: Caller, channelId: string, query: RestrictionsQuery): Promise<Page<ChannelRestriction>> {
    const { channel } = await this.deps.access.channel(caller, 'channel.moderate', channelId);
    const filter = {
      channelId: channel._id,
      ...(query.kind && { kind: query.kind }),
      $or: [{ expiresAt: null }, { expiresAt: { $gt: new Date() } }],
    };
    return pageOfUsers(
      this.deps.users,
      this.deps.collections.channelRestrictions,
      filter,
      query,
      toChannelRestriction,
    );
  }

  /** Part of the caller's transaction, which holds the channel in its queue. */
  private async write(
    caller: Caller,
    channel: ChannelDocument,
    user: UserDocument,
    { kind, reason, ...input }: RestrictInput,
  ): Promise<ChannelRestriction> {
    const { _id: channelId, groupId } = channel;
    if (!groupId) throw channelNotFound();
    const userId = user._id;
    const before = await this.deps.collections.channelRestrictions.findOne({ channelId, userId });
    const expiresAt = input.expiresAt === undefined ? null : new Date(input.expiresAt);
    const restriction: ChannelRestrictionDocument = {
      _id: before?._id ?? new ObjectId(),
      channelId,
      groupId,
      userId,
      kind,
      reason,
      restrictedBy: caller.userId,
      createdAt: new Date(),
      expiresAt,
    };
    await this.deps.collections.channelRestrictions.replaceOne({ channelId, userId }, restriction, {
      upsert: true,
    });
    if (kind === 'banned') {
      const isNew = before?.kind !== 'banned';
      await this.deps.bus.publish({ type: 'channel_ban.added', channelId, groupId, userId, isNew });
    } else if (before?.kind === 'banned') await this.publishBanEnd(channel, userId);
    const isBlocked = await this.deps.blocks.hasBlocked(userId, caller.userId);
    const shownReason = isBlocked ? '' : reason;
    await this.deps.bus.publish({ type: 'channel_restriction.set', restriction, shownReason });
    await this.deps.notifications.notify([userId], {
      kind: kind === 'banned' ? 'channel.banned' : 'channel.muted',
      actorId: caller.userId,
      groupId,
      channelId,
      text: reason,
    });
    const action = kind === 'banned' ? 'channel.user_banned' : 'channel.user_muted';
    await this.record(caller, action, restriction, { reason, until: expiresAt?.toISOString() ?? null });
    if (expiresAt) await this.deps.transactions.afterCommit(() => Promise.resolve(this.job.wake(expiresAt)));
    return toChannelRestriction(restriction, user);
  }

  /** Ends all expired restrictions. @returns when the next one expires. */
  private async endDue(signal: AbortSignal): Promise<Date | undefined> {
    while (!signal.aborted) {
      const [next] = await this.deps.collections.channelRestrictions
        .find({ expiresAt: { $gt: new Date(0) } })
        .sort({ expiresAt: 1 })
        .limit(1)
        .toArray();
      if (!next?.expiresAt || next.expiresAt > new Date()) return next?.expiresAt ?? undefined;
      const { _id, channelId, userId } = next;
      const exists = await this.deps.writes.inChannelByServer(channelId, userId, (channel) =>
        this.end(channel, userId, null),
      );
      // A restriction without its channel, left by a crash or an older version.
      if (!exists) await this.deps.collections.channelRestrictions.deleteOne({ _id });
    }
    return undefined;
  }

  /** Ends a mute or ban, if there is one. Part of the caller's transaction, which has locked the documents concerned. */
  private async end(channel: ChannelDocument, userId: ObjectId, by: EndedBy): Promise<void> {
    const channelId = channel._id;
    const ended = await this.deps.collections.channelRestrictions.findOneAndDelete({
      channelId,
      userId,
      // A moderator may have extended it in the meantime.
      ...(!by && { expiresAt: { $lte: new Date() } }),
    });
    if (!ended) return;
    await this.record(by, 'channel.restriction_ended', ended, { kind: ended.kind });
    const { belongs } =
      ended.kind === 'banned'
        ? await this.publishBanEnd(channel, userId)
        : await this.deps.access.membershipStatusOf(channel, userId);
    if (belongs) await this.deps.bus.publish({ type: 'channel_restriction.ended', channelId, userId });
  }

  /** Publishes the end of a ban, so that open sockets of the user receive the channel again. @returns the membership. */
  private async publishBanEnd(channel: ChannelDocument, userId: ObjectId): Promise<MembershipStatus> {
    const { _id: channelId, groupId } = channel;
    if (!groupId) throw channelNotFound();
    const membership = await this.deps.access.membershipStatusOf(channel, userId);
    await this.deps.bus.publish({
      type: 'channel_ban.ended',
      channelId,
      groupId,
      userId,
      isMember: membership.inChannel,
      channel: membership.belongs ? await this.deps.counts.withMemberCount(channel) : null,
    });
    return membership;
  }

  private record(
    by: EndedBy,
    action: AuditAction,
    { channelId, userId }: ChannelRestrictionDocument,
    details: Record<string, string | null>,
  ): Promise<void> {
    return this.deps.audit.record({
      action,
      actorId: by?.userId ?? null,
      targetId: channelId,
      address: by?.address ?? '',
      details: { userId: userId.toHexString(), ...details },
    });
  }
}
