import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { InviteDocument } from '../../models/groups/invite.model';
import type { JoinRequestDocument, RequestOutcome } from '../../models/groups/join-request.model';
import type { Access } from '../access/access';
import type { Blocks } from '../users/blocks';
import type { EventBus } from '../kernel/event-bus';
import type { NotificationService } from '../notifications/notification.service';

/**
 * What waits for somebody to come into a group: requests to join, and invites. The one place that ends them when
 * there is nothing left to wait for. Everything here is part of the caller's transaction.
 */
export class PendingAdmissions {
  constructor(
    private readonly collections: Collections,
    private readonly access: Access,
    private readonly blocks: Blocks,
    private readonly notifications: NotificationService,
    private readonly bus: EventBus,
  ) {}

  /**
   * Who is in a group, or must stay out of it, neither asks nor is invited any more.
   * @returns whether they had asked, or had been invited and told so.
   */
  async settle(groupId: ObjectId, userId: ObjectId, outcome: RequestOutcome): Promise<boolean> {
    const own = { groupId, userId };
    const request = await this.collections.joinRequests.findOneAndDelete(own);
    if (request) await this.publishEnd(request, outcome);
    return (await this.endInvites(own)) || request !== null;
  }

  /** The invites that somebody has made end with the right to make them. */
  async endInvitesBy(groupId: ObjectId, createdBy: ObjectId): Promise<void> {
    await this.endInvites({ groupId, createdBy });
  }

  /** A group that turns private can no longer be known to those who have asked. */
  endRequests(groupId: ObjectId): Promise<void> {
    return this.dropRequests({ groupId });
  }

  /** A group goes. */
  async endForGroup(groupId: ObjectId): Promise<void> {
    await this.dropRequests({ groupId });
    await this.endInvites({ groupId });
  }

  /** A user goes. */
  async endForUser(userId: ObjectId): Promise<void> {
    await this.dropRequests({ userId });
    await this.endInvites({ userId });
  }

  /** A request has come to an end: nobody is asked to decide it any more. */
  async publishEnd(
    { groupId, userId, rejectedAt }: JoinRequestDocument,
    outcome: RequestOutcome,
  ): Promise<void> {
    if (rejectedAt) return;
    await this.notifications.withdraw({ groupId, kind: 'join_request.received', actorId: userId });
    const adminIds = await this.access.usersWithRole(groupId, 'admin');
    await this.bus.publish({ type: 'join_request.ended', groupId, userId, outcome, adminIds });
  }

  /**
   * Takes invites away; those whom they were for are told, and not reminded any more.
   * @returns whether anybody was shown one of them: nobody is who has blocked its maker.
   */
  async endInvites(which: Filter<InviteDocument>): Promise<boolean> {
    const invites = await this.collections.invites.find(which).toArray();
    if (invites.length === 0) return false;
    let shown = false;
    await this.collections.invites.deleteMany({ _id: { $in: invites.map(({ _id }) => _id) } });
    for (const { _id, groupId, userId, createdBy } of invites) {
      if (!userId) continue;
      const withdrawn = await this.notifications.withdraw({ groupId, kind: 'invite.received', userId });
      // It may have come before its maker was blocked.
      if (withdrawn === 0 && (await this.blocks.hasBlocked(userId, createdBy))) continue;
      shown = true;
      await this.bus.publish({ type: 'invite.ended', userId, inviteId: _id, groupId });
    }
    return shown;
  }

  private async dropRequests(which: { groupId: ObjectId } | { userId: ObjectId }): Promise<void> {
    const requests = await this.collections.joinRequests.find(which).toArray();
    if (requests.length === 0) return;
    await this.collections.joinRequests.deleteMany({ _id: { $in: requests.map(({ _id }) => _id) } });
    for (const request of requests) await this.publishEnd(request, 'lapsed');
  }
}
