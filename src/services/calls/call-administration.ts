import { ObjectId } from 'mongodb';
import type { Collections } from '../../db/collections';
import type { Transactions } from '../../db/transaction';
import type { AdminCallsQuery, EndCallInput } from '../../models/calls/admin-call.model';
import type { Caller } from '../../models/identity/session.model';
import { toCall, type Call, type CallEndReason } from '../../models/video-call.model';
import { cutPage, type Page } from '../../utils/cursor';
import type { Access } from '../access/access';
import type { AuditService } from '../audit/audit.service';
import type { CallStore } from './call-store';

/** The dependencies of CallAdministration. */
export interface CallAdministrationDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  audit: AuditService;
  store: CallStore;
}

/** Open calls for super admins, and the end of a call by a user who is not in it. */
export class CallAdministration {
  constructor(private readonly deps: CallAdministrationDeps) {}

  /** Lists the open calls of all channels, the newest first. @throws AppError forbidden */
  async list(
    caller: Caller,
    { channelId, groupId, userId, cursor, limit }: AdminCallsQuery,
  ): Promise<Page<Call>> {
    this.deps.access.requireSuperAdmin(caller);
    const calls = await this.deps.collections.videoCalls
      .find({
        open: true,
        ...(channelId && { channelId: new ObjectId(channelId) }),
        ...(groupId && { groupId: new ObjectId(groupId) }),
        ...(userId && { 'participants.userId': new ObjectId(userId) }),
        ...(cursor && { _id: { $lt: new ObjectId(cursor) } }),
      })
      .sort({ _id: -1 })
      .limit(limit + 1)
      .toArray();
    const { items, nextCursor } = cutPage(calls, limit, ({ _id }) => _id.toHexString());
    return { items: items.map(toCall), nextCursor };
  }

  /** Ends any call. Repeating it has no effect. @throws AppError forbidden, not_found */
  async end(caller: Caller, callId: string, { reason }: EndCallInput): Promise<Call> {
    this.deps.access.requireSuperAdmin(caller);
    return this.endAudited(caller, new ObjectId(callId), 'ended_by_admin', reason);
  }

  /**
   * Ends a call on behalf of a user whose role permits it, and records that in the audit log.
   * @param reason why, in their words; null if they gave no reason.
   * @throws AppError not_found
   */
  endAudited(
    { userId, address }: Caller,
    callId: ObjectId,
    endReason: CallEndReason,
    reason: string | null,
  ): Promise<Call> {
    return this.deps.transactions.run(async () => {
      const before = await this.deps.store.get(callId);
      const call = await this.deps.store.apply(callId, { type: 'end', userId, reason: endReason });
      if (before.state !== 'ended') {
        await this.deps.audit.record({
          action: 'call.ended',
          actorId: userId,
          targetId: callId,
          address,
          details: { channelId: call.channelId.toHexString(), reason },
        });
      }
      return toCall(call);
    });
  }
}
