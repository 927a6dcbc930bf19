import { ObjectId, type Filter } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { ChannelDocument } from '../../models/channel.model';
import {
  toReport,
  toReportReceipt,
  type Report,
  type ReportDocument,
  type ReportInput,
  type ReportReceipt,
  type ReportsQuery,
} from '../../models/moderation/report.model';
import type { Caller } from '../../models/identity/session.model';
import { cutPage, type Page } from '../../utils/cursor';
import { AppError } from '../../utils/errors';
import { lockAccount } from '../users/account-lock';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { NotificationService } from '../notifications/notification.service';
import type { UserService } from '../user.service';

/** The maximum number of pending reports of one user, so that nobody can flood the moderators. */
const MAX_PENDING = 50;
/** The maximum number of moderators who are notified of a report: those who have been in the group longest. */
const MAX_NOTIFIED = 50;

/** Reports of messages, and the list in which moderators work on them. */
export class ReportService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly users: UserService,
    private readonly notifications: NotificationService,
    private readonly audit: AuditService,
  ) {}

  /**
   * Reports a message to its moderators. A second report of the same user changes nothing while the first is pending.
   * @returns the report, and whether it is new.
   * @throws AppError not_found, bad_request (one's own message), message_deleted, rate_limited
   */
  report(
    caller: Caller,
    messageId: string,
    input: ReportInput,
  ): Promise<{ report: ReportReceipt; created: boolean }> {
    const { reports } = this.collections;
    return this.transactions.run(async () => {
      const { message, channel } = await this.access.message(caller, 'message.report', messageId);
      const { senderId, body, createdAt, editedAt } = message;
      if (senderId.equals(caller.userId)) throw new AppError('bad_request', 'This message is your own.');
      // Concurrent requests cannot exceed the limit.
      await lockAccount(this.collections, caller.userId);
      const own = { reporterId: caller.userId, messageId: message._id, pending: true } as const;
      const before = await reports.findOne(own);
      if (before) return { report: toReportReceipt(before), created: false };
      if (message.deletedAt) throw new AppError('message_deleted', 'The message has been deleted.');
      const pendingCount = await reports.countDocuments({ reporterId: caller.userId, pending: true });
      if (pendingCount >= MAX_PENDING) {
        throw new AppError('rate_limited', 'Too many of your reports are still pending. Try again later.');
      }
      const report: ReportDocument = {
        _id: new ObjectId(),
        ...own,
        channelId: channel._id,
        groupId: channel.groupId,
        ...input,
        message: { senderId, body, createdAt, editedAt },
        state: 'open',
        claimedBy: null,
        claimedAt: null,
        resolution: null,
        createdAt: new Date(),
      };
      await reports.insertOne(report);
      await this.notifications.notify(await this.moderatorsOf(channel, report), {
        kind: 'report.received',
        actorId: caller.userId,
        ...(channel.groupId && { groupId: channel.groupId }),
        channelId: channel._id,
        messageId: message._id,
        text: report.category,
      });
      return { report: toReportReceipt(report), created: true };
    });
  }

  /**
   * The reports of a group, for its moderators, or of the whole server, for super admins.
   * @throws AppError not_found, not_a_member, forbidden
   */
  async list(caller: Caller, query: ReportsQuery): Promise<Page<Report>> {
    const { groupId, state, order, cursor, limit } = query;
    const newest = order === 'newest';
    const rows = await this.collections.reports
      .find({
        ...(await this.visibleTo(caller, groupId)),
        ...(state && { state }),
        ...(cursor && { _id: { [newest ? '$lt' : '$gt']: new ObjectId(cursor) } }),
      })
      .sort({ _id: newest ? -1 : 1 })
      .limit(limit + 1)
      .toArray();
    const page = cutPage(rows, limit, (last) => last._id.toHexString());
    return { items: page.items.map(toReport), nextCursor: page.nextCursor };
  }

  /** @throws AppError not_found */
  async get(caller: Caller, reportId: string): Promise<Report> {
    return toReport(await this.require(caller, reportId));
  }

  /** Claims a report. Of concurrent claims one succeeds. @throws AppError not_found, report_claimed, report_resolved */
  claim(caller: Caller, reportId: string): Promise<Report> {
    return this.transactions.run(async () => {
      const report = await this.require(caller, reportId);
      if (report.state !== 'open') return toReport(requireClaimedBy(caller, report));
      const claimed = await this.collections.reports.findOneAndUpdate(
        { _id: report._id, state: 'open' },
        { $set: { state: 'claimed', claimedBy: caller.userId, claimedAt: new Date() } },
        { returnDocument: 'after' },
      );
      // On a server without transactions another moderator may have claimed it since it was read.
      if (!claimed) throw alreadyClaimed();
      await this.record('report.claimed', caller, claimed);
      return toReport(claimed);
    });
  }

  /**
   * Releases a claimed report; requires the moderator who has claimed it, or a super admin. Idempotent.
   * @throws AppError not_found, report_claimed (by another user), report_resolved
   */
  release(caller: Caller, reportId: string): Promise<Report> {
    return this.transactions.run(async () => {
      const report = await this.require(caller, reportId);
      if (report.state === 'open') return toReport(report);
      if (!this.access.isSuperAdmin(caller) || report.state === 'resolved') requireClaimedBy(caller, report);
      const released = await this.collections.reports.findOneAndUpdate(
        { _id: report._id, state: 'claimed' },
        { $set: { state: 'open', claimedBy: null, claimedAt: null } },
        { returnDocument: 'after' },
      );
      if (!released) throw alreadyClaimed();
      await this.record('report.released', caller, released);
      return toReport(released);
    });
  }

  private record(
    action: 'report.claimed' | 'report.released',
    { userId: actorId, address }: Caller,
    { _id: targetId, messageId }: ReportDocument,
  ): Promise<void> {
    const details = { messageId: messageId.toHexString() };
    return this.audit.record({ action, actorId, targetId, address, details });
  }

  /** Returns a report that the caller may handle and has claimed. @throws AppError not_found, report_not_claimed, report_claimed, report_resolved */
  async requireClaimed(caller: Caller, reportId: string): Promise<ReportDocument> {
    const report = await this.require(caller, reportId);
    if (report.state === 'open') throw new AppError('report_not_claimed', 'Claim the report first.');
    return requireClaimedBy(caller, report);
  }

  /**
   * Returns a report that the caller may handle. Moderators cannot handle reports of their own messages; super admins
   * can.
   * @throws AppError not_found
   */
  private async require(caller: Caller, reportId: string): Promise<ReportDocument> {
    const report = await this.collections.reports.findOne({ _id: new ObjectId(reportId) });
    if (!report) throw noReport();
    if (await this.collections.channels.findOne({ _id: report.channelId }, { projection: { _id: 1 } })) {
      await this.access.channel(caller, 'report.handle', report.channelId);
    } else if (!this.access.isSuperAdmin(caller)) throw noReport();
    if (report.message.senderId.equals(caller.userId) && !this.access.isSuperAdmin(caller)) throw noReport();
    return report;
  }

  private async visibleTo(caller: Caller, groupId: string | undefined): Promise<Filter<ReportDocument>> {
    if (groupId === undefined) {
      this.access.requireSuperAdmin(caller);
      return {};
    }
    const { group } = await this.access.group(caller, 'group.moderate', groupId);
    if (this.access.isSuperAdmin(caller)) return { groupId: group._id };
    const channels = await this.collections.channels.find({ groupId: group._id }).toArray();
    const readable = await this.access.filterReadable(caller, channels);
    return {
      groupId: group._id,
      channelId: { $in: readable },
      'message.senderId': { $ne: caller.userId },
    };
  }

  /** The users to notify of a report: members of the group who may handle it, or else the super admins. */
  private async moderatorsOf(channel: ChannelDocument, report: ReportDocument): Promise<ObjectId[]> {
    const staff = channel.groupId ? await this.access.usersWithRole(channel.groupId, 'moderator') : [];
    const isInvolved = (id: ObjectId) => id.equals(report.reporterId) || id.equals(report.message.senderId);
    const users = await this.users.findByIds(staff);
    const actors = [...users.values()]
      .filter(({ _id }) => !isInvolved(_id))
      .map(({ _id, role, state }) => ({ id: _id, role, state }));
    const decisions = await this.access.decideForUsers(channel, 'report.handle', actors);
    const moderators = actors.filter((_, index) => decisions[index]?.decision.allowed).map(({ id }) => id);
    if (moderators.length > 0) return moderators.slice(0, MAX_NOTIFIED);
    const superAdmins = await this.collections.users
      .find({ role: 'super_admin', state: 'active' }, { projection: { _id: 1 } })
      .limit(MAX_NOTIFIED)
      .toArray();
    return superAdmins.map(({ _id }) => _id).filter((id) => !isInvolved(id));
  }
}

/** @returns the report. @throws AppError report_claimed (by another user), report_resolved */
function requireClaimedBy({ userId }: Caller, report: ReportDocument): ReportDocument {
  if (report.state === 'resolved') throw new AppError('report_resolved', 'The report has been resolved.');
  if (!report.claimedBy?.equals(userId)) throw alreadyClaimed(report);
  return report;
}

function alreadyClaimed(report?: ReportDocument): AppError {
  const details = report?.claimedBy && { claimedBy: report.claimedBy.toHexString() };
  return new AppError('report_claimed', 'Another moderator has claimed the report.', details ?? undefined);
}

function noReport(): AppError {
  return new AppError('not_found', 'There is no such report.');
}
