import type { AdminUsersQuery, BanInput, DeleteUserInput } from '../models/admin/admin-user.model';
import type { ChangeRoleInput, SuspendInput } from '../models/admin/admin.model';
import type { AuditFilter, AuditQuery } from '../models/audit/audit.model';
import type { UserParams } from '../models/user.model';
import type { AdminService } from '../services/admin.service';
import type { AdminUserService } from '../services/admin/admin-users.service';
import type { CallerRequest } from './controller.types';
import { reply, replyRecords } from './reply';

export interface AdminServices {
  admin: AdminService;
  adminUsers: AdminUserService;
}

export function createAdminController({ admin, adminUsers }: AdminServices) {
  return {
    listUsers: async ({ caller, query }: CallerRequest<{ query: AdminUsersQuery }>) => {
      const { items, nextCursor } = await adminUsers.list(caller, query);
      return reply(200, { users: items, nextCursor });
    },
    getUser: async ({ caller, params }: CallerRequest<{ params: UserParams }>) =>
      reply(200, { user: await adminUsers.get(caller, params.userId) }),
    changeRole: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<{ params: UserParams; body: ChangeRoleInput }>) =>
      reply(200, { user: await admin.changeRole(caller, params.userId, body.role, origin) }),
    suspend: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<{ params: UserParams; body: SuspendInput }>) =>
      reply(200, { user: await admin.suspend(caller, params.userId, body, origin) }),
    ban: async ({ caller, params, body, origin }: CallerRequest<{ params: UserParams; body: BanInput }>) =>
      reply(200, { user: await admin.ban(caller, params.userId, body, origin) }),
    restore: async ({ caller, params, origin }: CallerRequest<{ params: UserParams }>) =>
      reply(200, { user: await admin.restore(caller, params.userId, origin) }),
    logOut: async ({ caller, params, origin }: CallerRequest<{ params: UserParams }>) => {
      await admin.logOut(caller, params.userId, origin);
      return reply(204);
    },
    resetPassword: async ({ caller, params, origin }: CallerRequest<{ params: UserParams }>) => {
      await admin.resetPassword(caller, params.userId, origin);
      return reply(202);
    },
    deleteUser: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<{ params: UserParams; body: DeleteUserInput }>) => {
      await admin.delete(caller, params.userId, body.reason, origin);
      return reply(204);
    },
    auditLog: async ({ caller, query }: CallerRequest<{ query: AuditQuery }>) => {
      const { items, nextCursor } = await admin.auditLog(caller, query);
      return reply(200, { entries: items, nextCursor });
    },
    exportAuditLog: async ({ caller, query }: CallerRequest<{ query: AuditFilter }>) =>
      replyRecords(await admin.exportAuditLog(caller, query)),
  };
}
