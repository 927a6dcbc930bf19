import type { AdminUsersQuery, BanInput } from '../models/admin/admin-user.model';
import type { SuspendInput } from '../models/admin/admin.model';
import type { AuditFilter, AuditQuery } from '../models/audit/audit.model';
import type { GlobalRole } from '../models/user.model';
import type { AdminService } from '../services/admin.service';
import type { AdminUserService } from '../services/admin/admin-users.service';
import type { CallerRequest, Reply } from './controller.types';

type UserParams = { userId: string };

export interface AdminServices {
  admin: AdminService;
  adminUsers: AdminUserService;
}

export function createAdminController({ admin, adminUsers }: AdminServices) {
  return {
    listUsers: async ({ caller, query }: CallerRequest<undefined, AdminUsersQuery>): Promise<Reply> => {
      const { items, nextCursor } = await adminUsers.list(caller, query);
      return { status: 200, body: { users: items, nextCursor } };
    },
    getUser: async ({ caller, params }: CallerRequest<UserParams>): Promise<Reply> => ({
      status: 200,
      body: { user: await adminUsers.get(caller, params.userId) },
    }),
    changeRole: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<UserParams, undefined, { role: GlobalRole }>): Promise<Reply> => ({
      status: 200,
      body: { user: await admin.changeRole(caller, params.userId, body.role, origin) },
    }),
    suspend: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<UserParams, undefined, SuspendInput>): Promise<Reply> => ({
      status: 200,
      body: { user: await admin.suspend(caller, params.userId, body, origin) },
    }),
    ban: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<UserParams, undefined, BanInput>): Promise<Reply> => ({
      status: 200,
      body: { user: await admin.ban(caller, params.userId, body, origin) },
    }),
    restore: async ({ caller, params, origin }: CallerRequest<UserParams>): Promise<Reply> => ({
      status: 200,
      body: { user: await admin.restore(caller, params.userId, origin) },
    }),
    logOut: async ({ caller, params, origin }: CallerRequest<UserParams>): Promise<Reply> => {
      await admin.logOut(caller, params.userId, origin);
      return { status: 204 };
    },
    resetPassword: async ({ caller, params, origin }: CallerRequest<UserParams>): Promise<Reply> => {
      await admin.resetPassword(caller, params.userId, origin);
      return { status: 202 };
    },
    deleteUser: async ({
      caller,
      params,
      body,
      origin,
    }: CallerRequest<UserParams, undefined, { reason: string }>): Promise<Reply> => {
      await admin.delete(caller, params.userId, body.reason, origin);
      return { status: 204 };
    },
    auditLog: async ({ caller, query }: CallerRequest<undefined, AuditQuery>): Promise<Reply> => {
      const { items, nextCursor } = await admin.auditLog(caller, query);
      return { status: 200, body: { entries: items, nextCursor } };
    },
    exportAuditLog: async ({ caller, query }: CallerRequest<undefined, AuditFilter>): Promise<Reply> => ({
      status: 200,
      body: await admin.exportAuditLog(caller, query),
    }),
  };
}
