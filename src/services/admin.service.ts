import { ObjectId, type UpdateFilter } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import type { SuspendInput } from '../models/admin.model';
import type { AuditAction, AuditEntry, AuditFilter, AuditQuery } from '../models/audit.model';
import type { Caller, Origin } from '../models/session.model';
import { toUser, type GlobalRole, type User, type UserDocument } from '../models/user.model';
import type { Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import type { Access } from './access';
import type { AuditService } from './audit.service';
import type { EventBus } from './event-bus';
import type { SessionService } from './session.service';
import type { SuperAdmins } from './super-admins';

/** What super admins do to accounts. Every act is in the audit log, in the same transaction. */
export class AdminService {
  constructor(
    private readonly collections: Collections,
    private readonly transactions: Transactions,
    private readonly access: Access,
    private readonly bus: EventBus,
    private readonly sessions: SessionService,
    private readonly superAdmins: SuperAdmins,
    private readonly audit: AuditService,
  ) {}

  /** Gives a user another role; it counts when this resolves. @throws AppError forbidden, not_found, last_super_admin */
  async changeRole(caller: Caller, userId: string, role: GlobalRole, origin: Origin): Promise<User> {
    const user = await this.change(caller, userId, origin, {
      action: 'user.role_changed',
      details: { role },
      update: { $set: { role } },
      takesPower: role !== 'super_admin',
    });
    return toUser(user);
  }

  /**
   * Suspends a user until a time or for good: their tokens are refused and their sockets closed when this
   * resolves.
   */
  async suspend(caller: Caller, userId: string, input: SuspendInput, origin: Origin): Promise<User> {
    const until = input.until === undefined ? null : new Date(input.until);
    const user = await this.change(caller, userId, origin, {
      action: 'user.suspended',
      details: { reason: input.reason, until: until?.toISOString() ?? null },
      update: { $set: { state: 'suspended', suspension: { reason: input.reason, until } } },
      takesPower: true,
    });
    await this.sessions.revokeAll(user._id, 'account_suspended');
    return toUser(user);
  }

  /** Ends a suspension; a user who is not suspended stays as they are. @throws AppError forbidden, not_found */
  async restore(caller: Caller, userId: string, origin: Origin): Promise<User> {
    this.access.requireSuperAdmin(caller);
    const user = await this.collections.users.findOne({
      _id: new ObjectId(userId),
      state: { $ne: 'deleted' },
    });
    if (!user) throw noUser();
    if (user.state !== 'suspended') return toUser(user);
    const restored = await this.change(caller, userId, origin, {
      action: 'user.restored',
      details: {},
      update: { $set: { state: 'active', suspension: null } },
      takesPower: false,
    });
    return toUser(restored);
  }

  /** Ends all sessions of a user. */
  async logOut(caller: Caller, userId: string, origin: Origin): Promise<void> {
    this.access.requireSuperAdmin(caller);
    const targetId = new ObjectId(userId);
    if (!(await this.collections.users.findOne({ _id: targetId }))) throw noUser();
    await this.audit.record({
      action: 'user.logged_out',
      actorId: caller.userId,
      targetId,
      address: origin.address,
    });
    await this.sessions.revokeAll(targetId, 'revoked');
  }

  /** The audit log, newest first. @throws AppError forbidden */
  async auditLog(caller: Caller, query: AuditQuery): Promise<Page<AuditEntry>> {
    this.access.requireSuperAdmin(caller);
    return this.audit.list(query);
  }

  /** The audit log, oldest first, as an async sequence. That it is taken out stands in it. @throws AppError forbidden */
  async exportAuditLog(caller: Caller, filter: AuditFilter): Promise<AsyncIterable<AuditEntry>> {
    this.access.requireSuperAdmin(caller);
    await this.audit.record({
      action: 'audit_log.exported',
      actorId: caller.userId,
      targetId: null,
      address: caller.address,
      details: Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, value ?? null])),
    });
    return this.audit.stream(filter);
  }

  private async change(
    caller: Caller,
    userId: string,
    origin: Origin,
    act: {
      action: AuditAction;
      details: Record<string, string | null>;
      update: UpdateFilter<UserDocument> & { $set: Partial<UserDocument> };
      /** Whether a super admin loses power by it. */
      takesPower: boolean;
    },
  ): Promise<UserDocument> {
    this.access.requireSuperAdmin(caller);
    const targetId = new ObjectId(userId);
    const user = await this.transactions.run(async () => {
      if (act.takesPower) await this.superAdmins.refuseLast(targetId);
      const updated = await this.collections.users.findOneAndUpdate(
        { _id: targetId, state: { $ne: 'deleted' } },
        { ...act.update, $set: { ...act.update.$set, updatedAt: new Date() } },
        { returnDocument: 'after' },
      );
      if (!updated) throw noUser();
      const { action, details } = act;
      await this.audit.record({ action, actorId: caller.userId, targetId, address: origin.address, details });
      return updated;
    });
    await this.bus.publish({ type: 'user.changed', userId: user._id });
    return user;
  }
}

function noUser(): AppError {
  return new AppError('not_found', 'There is no such user.');
}
