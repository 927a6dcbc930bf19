import type { Services } from '../context';
import type { SuspendInput } from '../models/admin.model';
import type { AuditFilter, AuditQuery } from '../models/audit.model';
import type { GlobalRole } from '../models/user.model';
import type { CallerRequest, Reply } from './controller.types';

type UserParams = { userId: string };

export function createAdminController({ admin }: Services) {
  return {
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
    restore: async ({ caller, params, origin }: CallerRequest<UserParams>): Promise<Reply> => ({
      status: 200,
      body: { user: await admin.restore(caller, params.userId, origin) },
    }),
    logOut: async ({ caller, params, origin }: CallerRequest<UserParams>): Promise<Reply> => {
      await admin.logOut(caller, params.userId, origin);
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
