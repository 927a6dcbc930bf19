import type { Filter, ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { InviteDocument } from '../../models/groups/invite.model';
import type { JoinRequestDocument, RequestOutcome } from '../../models/groups/join-request.model';
import type { Access } from '../access/access';
import type { Blocks } from '../users/blocks';
import type { EventBus } from '../kernel/event-bus';
import type { NotificationService } from '../notifications/notification.service';

/**
 * Ends pending requests to join and invites that no longer apply. All methods are part of the caller's transaction.
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
   * Ends the request and the invites of a user who has become a member or was banned.
   * @returns whether the user had made a request or been shown an invite.
   */
  async settle(groupId: ObjectId, userId: ObjectId, outcome: RequestOutcome): Promise<boolean> {
    const own = { groupId, userId };
    const request = await this.collections.joinRequests.findOneAndDelete(own);
    if (request) await this.publishEnd(request, outcome);
    return (await this.endInvites(own)) || request !== null;
  }

  /** Ends the invites that a user has created, when the user loses the right to create them. */
  async endInvitesBy(groupId: ObjectId, createdBy: ObjectId): Promise<void> {
    await this.endInvites({ groupId, createdBy });
  }

  /** Ends the requests for a group that becomes private, since users who are not members may not know it. */
  endRequests(groupId: ObjectId): Promise<void> {
    return this.dropRequests({ groupId });
  }

  /** Ends everything for a group that is deleted. */
  async endForGroup(groupId: ObjectId): Promise<void> {
    await this.dropRequests({ groupId });
    await this.endInvites({ groupId });
  }

  /** Ends everything for a user whose account is deleted. */
  async endForUser(userId: ObjectId): Promise<void> {
    await this.dropRequests({ userId });
    await this.endInvites({ userId });
  }

  /** Publishes the end of a request, and withdraws the notifications of those who could decide it. */
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
   * Deletes invites, withdraws their notifications and informs their users.
   * @returns whether a user was shown one of them. Users do not see invites of those whom they have blocked.
   */
  async endInvites(which: Filter<InviteDocument>): Promise<boolean> {
    const invites = await this.collections.invites.find(which).toArray();
    if (invites.length === 0) return false;
    let shown = false;
    await this.collections.invites.deleteMany({ _id: { $in: invites.map(({ _id }) => _id) } });
    for (const { _id, groupId, userId, createdBy } of invites) {
      if (!userId) continue;
      const withdrawn = await this.notifications.withdraw({ groupId, kind: 'invite.received', userId });
      // The invite may have been shown before its creator was blocked.
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
