import { ObjectId, type UpdateFilter } from 'mongodb';
import type { Collections } from '../db/collections';
import type { Transactions } from '../db/transaction';
import type { AdminUser, BanInput } from '../models/admin/admin-user.model';
import type { SuspendInput } from '../models/admin/admin.model';
import type { AuditAction, AuditEntry, AuditFilter, AuditQuery } from '../models/audit/audit.model';
import type { Caller, Origin, RevocationReason } from '../models/identity/session.model';
import type { GlobalRole, UserDocument } from '../models/user.model';
import type { Page } from '../utils/cursor';
import { AppError } from '../utils/errors';
import type { Access } from './access/access';
import type { AccountService } from './accounts/account.service';
import type { AdminUserService } from './admin/admin-users.service';
import type { AuditService } from './audit/audit.service';
import type { CredentialService } from './identity/credential.service';
import type { EventBus } from './kernel/event-bus';
import type { SessionService } from './identity/session.service';
import type { SuperAdmins } from './users/super-admins';

/** The dependencies of AdminService. */
export interface AdminServiceDeps {
  collections: Collections;
  transactions: Transactions;
  access: Access;
  bus: EventBus;
  sessions: SessionService;
  superAdmins: SuperAdmins;
  audit: AuditService;
  accounts: AccountService;
  credentials: CredentialService;
  users: AdminUserService;
}

/** Actions of super admins on accounts. Each is recorded in the audit log, in the same transaction. */
export class AdminService {
  constructor(private readonly deps: AdminServiceDeps) {}

  /** Changes the role of a user. In effect when this resolves. @throws AppError forbidden, not_found, last_super_admin */
  async changeRole(caller: Caller, userId: string, role: GlobalRole, origin: Origin): Promise<AdminUser> {
    const user = await this.change(caller, userId, origin, {
      action: 'user.role_changed',
      details: { role },
      update: { $set: { role } },
      removesPower: role !== 'super_admin',
    });
    return this.deps.users.show(user);
  }

  /**
   * Suspends a user until a time or indefinitely: when this resolves, their tokens are refused and their sockets closed.
   * A suspension replaces a ban, and a ban replaces a suspension.
   * @throws AppError forbidden, not_found, last_super_admin
   */
  async suspend(caller: Caller, userId: string, input: SuspendInput, origin: Origin): Promise<AdminUser> {
    const until = input.until === undefined ? null : new Date(input.until);
    const user = await this.changeAndRevokeSessions('account_suspended', () =>
      this.change(caller, userId, origin, {
        action: 'user.suspended',
        details: { reason: input.reason, until: until?.toISOString() ?? null },
        update: {
          $set: { state: 'suspended', suspension: { reason: input.reason, until } },
          $unset: { ban: true },
        },
        removesPower: true,
      }),
    );
    return this.deps.users.show(user);
  }

  /**
   * Bans a user from the server until a super admin restores them: when this resolves, their tokens are refused and their
   * sockets closed, and nobody can register with their email address.
   * @throws AppError forbidden, not_found, last_super_admin
   */
  async ban(caller: Caller, userId: string, { reason }: BanInput, origin: Origin): Promise<AdminUser> {
    const user = await this.changeAndRevokeSessions('account_banned', () =>
      this.change(caller, userId, origin, {
        action: 'user.banned',
        details: { reason },
        update: { $set: { state: 'banned', suspension: null, ban: { reason, bannedAt: new Date() } } },
        removesPower: true,
      }),
    );
    return this.deps.users.show(user);
  }

  /** Ends a suspension or a ban. Idempotent. @throws AppError forbidden, not_found */
  async restore(caller: Caller, userId: string, origin: Origin): Promise<AdminUser> {
    const user = await this.requireUndeleted(caller, userId);
    if (user.state !== 'suspended' && user.state !== 'banned') return this.deps.users.show(user);
    const restored = await this.change(caller, userId, origin, {
      action: 'user.restored',
      details: {},
      update: { $set: { state: 'active', suspension: null }, $unset: { ban: true } },
      removesPower: false,
    });
    return this.deps.users.show(restored);
  }

  /** Revokes all sessions of a user. @throws AppError forbidden, not_found */
  async logOut(caller: Caller, userId: string, origin: Origin): Promise<void> {
    this.deps.access.requireSuperAdmin(caller);
    const targetId = new ObjectId(userId);
    if (!(await this.deps.collections.users.findOne({ _id: targetId }))) throw noUser();
    await this.deps.transactions.run(async () => {
      await this.deps.audit.record({
        action: 'user.logged_out',
        actorId: caller.userId,
        targetId,
        address: origin.address,
      });
      await this.deps.sessions.revokeAll(targetId, 'revoked');
    });
  }

  /**
   * Mails the user a link to set a new password. The old password remains valid until they use it.
   * @throws AppError forbidden, not_found, mail_unavailable, email_missing
   */
  async resetPassword(caller: Caller, userId: string, origin: Origin): Promise<void> {
    const user = await this.requireUndeleted(caller, userId);
    await this.deps.transactions.run(async () => {
      await this.deps.audit.record({
        action: 'user.password_reset_sent',
        actorId: caller.userId,
        targetId: user._id,
        address: origin.address,
      });
      await this.deps.credentials.mailResetLink(user);
    });
  }

  /**
   * Deletes an account as its owner could.
   * @throws AppError forbidden, not_found, last_super_admin, last_owner (with the groups as details)
   */
  async delete(caller: Caller, userId: string, reason: string, origin: Origin): Promise<void> {
    const user = await this.requireUndeleted(caller, userId);
    await this.deps.accounts.deleteUser(user, caller.userId, origin, { reason }).catch((error: unknown) => {
      // Another request has deleted it since it was read.
      throw error instanceof AppError && error.code === 'session_revoked' ? noUser() : error;
    });
  }

  /** The audit log, newest first. @throws AppError forbidden */
  async auditLog(caller: Caller, query: AuditQuery): Promise<Page<AuditEntry>> {
    this.deps.access.requireSuperAdmin(caller);
    return this.deps.audit.list(query);
  }

  /** The audit log, oldest first, as an async sequence. The export itself is recorded in it. @throws AppError forbidden */
  async exportAuditLog(caller: Caller, filter: AuditFilter): Promise<AsyncIterable<AuditEntry>> {
    this.deps.access.requireSuperAdmin(caller);
    await this.deps.audit.record({
      action: 'audit_log.exported',
      actorId: caller.userId,
      targetId: null,
      address: caller.address,
      details: Object.fromEntries(Object.entries(filter).map(([name, value]) => [name, value ?? null])),
    });
    return this.deps.audit.stream(filter);
  }

  /** @throws AppError forbidden, not_found */
  private async requireUndeleted(caller: Caller, userId: string): Promise<UserDocument> {
    this.deps.access.requireSuperAdmin(caller);
    const _id = new ObjectId(userId);
    const user = await this.deps.collections.users.findOne({ _id, state: { $ne: 'deleted' } });
    if (!user) throw noUser();
    return user;
  }

  /** In one transaction: after a crash in between, sessions would become valid again when the user is restored. */
  private changeAndRevokeSessions(
    reason: RevocationReason,
    change: () => Promise<UserDocument>,
  ): Promise<UserDocument> {
    return this.deps.transactions.run(async () => {
      const user = await change();
      await this.deps.sessions.revokeAll(user._id, reason);
      return user;
    });
  }

  private async change(
    caller: Caller,
    userId: string,
    origin: Origin,
    change: {
      action: AuditAction;
      details: Record<string, string | null>;
      update: UpdateFilter<UserDocument> & { $set: Partial<UserDocument> };
      /** Whether a super admin could lose their rights. */
      removesPower: boolean;
    },
  ): Promise<UserDocument> {
    this.deps.access.requireSuperAdmin(caller);
    const targetId = new ObjectId(userId);
    const user = await this.deps.transactions.run(async () => {
      if (change.removesPower) await this.deps.superAdmins.refuseLast(targetId);
      const updated = await this.deps.collections.users.findOneAndUpdate(
        { _id: targetId, state: { $ne: 'deleted' } },
        { ...change.update, $set: { ...change.update.$set, updatedAt: new Date() } },
        { returnDocument: 'after' },
      );
      if (!updated) throw noUser();
      const { action, details } = change;
      await this.deps.audit.record({
        action,
        actorId: caller.userId,
        targetId,
        address: origin.address,
        details,
      });
      return updated;
    });
    await this.deps.bus.publish({ type: 'user.changed', userId: user._id });
    return user;
  }
}

function noUser(): AppError {
  return new AppError('not_found', 'There is no such user.');
}
