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

/** Who ends a restriction: a moderator, or, where it is null, its time. */
type EndedBy = Pick<Caller, 'userId' | 'address'> | null;

/** What ChannelRestrictionService works with. */
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

/** Milliseconds after which it looks for what is due in any case: another node may have set something. */
const RESTRICTIONS_INTERVAL_MS = 60_000;

/** Mutes and bans in channels, which end by themselves when their time comes. */
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
   * Mutes or bans a user in a channel; what held before is replaced. When this resolves it counts: who is banned
   * hears nothing more of the channel on any device.
   * @throws AppError not_found, forbidden, direct_channel, bad_request (oneself, or somebody who is not in the
   * group or in the private channel)
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
      if (subjectId.equals(caller.userId)) throw new AppError('bad_request', 'Nobody restricts themselves.');
      const user = await this.deps.users.lockUndeleted(userId);
      if (!(await this.deps.access.membershipStatusOf(channel, subjectId)).belongs) {
        throw new AppError('bad_request', 'The user is not in the channel.');
      }
      return this.write(caller, channel, user, input);
    });
  }

  /** Ends a mute or ban; where there is none, nothing changes. @throws AppError not_found, forbidden, direct_channel */
  async lift(caller: Caller, channelId: string, userId: string): Promise<void> {
    const subjectId = new ObjectId(userId);
    await this.deps.writes.inChannel(caller, 'channel.moderate', channelId, { subjectId }, ({ channel }) =>
      this.end(channel, subjectId, caller),
    );
  }

  /** The mutes and bans that hold in a channel, for its moderators. @throws AppError not_found, forbidden */
  async list(caller: Caller, channelId: string, query: RestrictionsQuery): Promise<Page<ChannelRestriction>> {
    const { channel } = await this.deps.access.channel(caller, 'channel.moderate', channelId);
    const which = {
      channelId: channel._id,
      ...(query.kind && { kind: query.kind }),
      $or: [{ expiresAt: null }, { expiresAt: { $gt: new Date() } }],
    };
    return pageOfUsers(
      this.deps.users,
      this.deps.collections.channelRestrictions,
      which,
      query,
      toChannelRestriction,
    );
  }

  /** Part of the caller's transaction, in the channel's line. */
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
    } else if (before?.kind === 'banned') await this.letIn(channel, userId);
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
    await this.note(caller, action, restriction, { reason, until: expiresAt?.toISOString() ?? null });
    if (expiresAt) await this.deps.transactions.afterCommit(() => Promise.resolve(this.job.wake(expiresAt)));
    return toChannelRestriction(restriction, user);
  }

  /** Ends everything that is due. @returns when the next is. */
  private async endDue(signal: AbortSignal): Promise<Date | undefined> {
    while (!signal.aborted) {
      const [next] = await this.deps.collections.channelRestrictions
        .find({ expiresAt: { $gt: new Date(0) } })
        .sort({ expiresAt: 1 })
        .limit(1)
        .toArray();
      if (!next?.expiresAt || next.expiresAt > new Date()) return next?.expiresAt ?? undefined;
      const { _id, channelId, userId } = next;
      const isThere = await this.deps.writes.inChannelByServer(channelId, userId, (channel) =>
        this.end(channel, userId, null),
      );
      // Left behind by a crash, or by an older version.
      if (!isThere) await this.deps.collections.channelRestrictions.deleteOne({ _id });
    }
    return undefined;
  }

  /** Ends a mute or ban, where there is one. Part of the caller's transaction, which has locked what this rests on. */
  private async end(channel: ChannelDocument, userId: ObjectId, by: EndedBy): Promise<void> {
    const channelId = channel._id;
    const ended = await this.deps.collections.channelRestrictions.findOneAndDelete({
      channelId,
      userId,
      // A moderator may have given it more time in the meantime.
      ...(!by && { expiresAt: { $lte: new Date() } }),
    });
    if (!ended) return;
    await this.note(by, 'channel.restriction_ended', ended, { kind: ended.kind });
    const { belongs } =
      ended.kind === 'banned'
        ? await this.letIn(channel, userId)
        : await this.deps.access.membershipStatusOf(channel, userId);
    if (belongs) await this.deps.bus.publish({ type: 'channel_restriction.ended', channelId, userId });
  }

  /** A ban has ended: open sockets of the user receive the channel again. @returns what the user is in the channel. */
  private async letIn(channel: ChannelDocument, userId: ObjectId): Promise<MembershipStatus> {
    const { _id: channelId, groupId } = channel;
    if (!groupId) throw channelNotFound();
    const standing = await this.deps.access.membershipStatusOf(channel, userId);
    await this.deps.bus.publish({
      type: 'channel_ban.ended',
      channelId,
      groupId,
      userId,
      isMember: standing.inChannel,
      channel: standing.belongs ? await this.deps.counts.withMemberCount(channel) : null,
    });
    return standing;
  }

  private note(
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
