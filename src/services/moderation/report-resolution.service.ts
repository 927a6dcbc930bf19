import type { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import {
  toReport,
  type Report,
  type ReportDocument,
  type ResolveReportInput,
} from '../../models/moderation/report.model';
import type { Caller, Origin } from '../../models/identity/session.model';
import { AppError } from '../../utils/errors';
import type { Access } from '../access/access';
import type { AdminService } from '../admin.service';
import type { AuditService } from '../audit/audit.service';
import type { ChannelRestrictionService } from './channel-restriction.service';
import type { GroupBanService } from './group-ban.service';
import type { MessageService } from '../message.service';
import type { NotificationService } from '../notifications/notification.service';
import type { ReportService } from './report.service';

/** The dependencies of ReportResolutionService. */
export interface ReportResolutionServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  reports: ReportService;
  messages: MessageService;
  restrictions: ChannelRestrictionService;
  groupBans: GroupBanService;
  admin: AdminService;
  notifications: NotificationService;
  audit: AuditService;
}

/** Resolves reports. Each action is carried out by its own service, under the rules of that service. */
export class ReportResolutionService {
  constructor(private readonly deps: ReportResolutionServiceDeps) {}

  /**
   * Resolves a report that the caller has claimed: the action and the resolution are one transaction. The reporter is
   * notified.
   * @throws AppError not_found, report_not_claimed, report_claimed, report_resolved, forbidden, and the errors of the action
   */
  resolve(caller: Caller, reportId: string, input: ResolveReportInput, origin: Origin): Promise<Report> {
    return this.deps.transactions.run(async () => {
      const report = await this.deps.reports.requireClaimed(caller, reportId);
      const { action, reason } = input;
      await this.carryOut(caller, report, input, origin);
      const resolved = await this.deps.collections.reports.findOneAndUpdate(
        { _id: report._id, state: 'claimed', claimedBy: caller.userId },
        {
          $set: { state: 'resolved', resolution: { action, reason, by: caller.userId, at: new Date() } },
          $unset: { pending: true },
        },
        { returnDocument: 'after' },
      );
      if (!resolved) throw new AppError('report_resolved', 'The report has been resolved.');
      await this.deps.audit.record({
        action: 'report.resolved',
        actorId: caller.userId,
        targetId: report._id,
        address: caller.address,
        details: {
          action,
          reason,
          messageId: report.messageId.toHexString(),
          authorId: report.message.senderId.toHexString(),
        },
      });
      await this.deps.notifications.notify([report.reporterId], {
        kind: 'report.resolved',
        actorId: caller.userId,
        ...targetOf(report),
        text: action === 'dismiss' ? 'dismissed' : 'action_taken',
      });
      return toReport(resolved);
    });
  }

  private async carryOut(
    caller: Caller,
    report: ReportDocument,
    { action, reason, until }: ResolveReportInput,
    origin: Origin,
  ): Promise<void> {
    const { groupId, channelId, messageId, message } = report;
    const author = message.senderId;
    switch (action) {
      case 'dismiss':
        return;
      case 'delete_message':
        await this.deps.messages.delete(caller, messageId.toHexString());
        return;
      case 'warn':
        if (groupId)
          await this.deps.access.channel(caller, 'channel.moderate', channelId, { subjectId: author });
        await this.deps.notifications.notify([author], {
          kind: 'warning',
          actorId: caller.userId,
          ...targetOf(report),
          text: reason,
        });
        return;
      case 'mute':
      case 'ban':
        await this.deps.restrictions.restrict(caller, channelId.toHexString(), author.toHexString(), {
          kind: action === 'mute' ? 'muted' : 'banned',
          reason,
          expiresAt: until,
        });
        return;
      case 'ban_from_group':
        if (!groupId) throw new AppError('direct_channel', 'A direct conversation belongs to no group.');
        await this.deps.groupBans.ban(caller, groupId.toHexString(), author.toHexString(), {
          reason,
          expiresAt: until,
        });
        return;
      case 'ban_account':
        await this.deps.admin.ban(caller, author.toHexString(), { reason }, origin);
    }
  }
}

function targetOf({ groupId, channelId, messageId }: ReportDocument): {
  groupId?: ObjectId;
  channelId: ObjectId;
  messageId: ObjectId;
} {
  return { ...(groupId && { groupId }), channelId, messageId };
}
