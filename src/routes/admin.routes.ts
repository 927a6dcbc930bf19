import type { Services } from '../context';
import { createAdminController } from '../controllers/admin.controller.mongodb';
import { changeRoleInput, suspendInput } from '../models/admin.model';
import { auditEntrySchema, auditFilterQuery, auditQuery, auditReply } from '../models/audit.model';
import { userParams, userReply } from '../models/user.model';
import { callerRoute, type ApiRoute } from './api-route';

/** For super admins. */
export function adminRoutes(services: Services): ApiRoute[] {
  const admin = createAdminController(services);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'patch',
      path: '/api/admin/users/:userId/role',
      operationId: 'changeRole',
      tag,
      summary: 'Give a user another role.',
      params: userParams,
      body: changeRoleInput,
      replies: {
        200: { description: 'The user.', schema: userReply },
      },
      handle: admin.changeRole,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/users/:userId/suspend',
      operationId: 'suspendUser',
      tag,
      summary: 'Suspend a user, until a time or for good.',
      params: userParams,
      body: suspendInput,
      replies: {
        200: { description: 'The user.', schema: userReply },
      },
      handle: admin.suspend,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/users/:userId/restore',
      operationId: 'restoreUser',
      tag,
      summary: 'End a suspension.',
      params: userParams,
      replies: {
        200: { description: 'The user.', schema: userReply },
      },
      handle: admin.restore,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/users/:userId/logout',
      operationId: 'logOutUser',
      tag,
      summary: 'End all sessions of a user.',
      params: userParams,
      replies: {
        204: { description: 'The sessions have ended.' },
      },
      handle: admin.logOut,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/audit-log',
      operationId: 'listAuditLog',
      tag,
      summary: 'Every privileged act, newest first.',
      query: auditQuery,
      replies: {
        200: { description: 'A page of entries.', schema: auditReply },
      },
      handle: admin.auditLog,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/audit-log/export',
      operationId: 'exportAuditLog',
      tag,
      summary: 'The audit log, oldest first, one JSON line for each entry; `npm run audit:verify` reads it.',
      query: auditFilterQuery,
      replies: {
        200: {
          description: 'Entries.',
          schema: auditEntrySchema,
          contentType: 'application/x-ndjson',
        },
      },
      handle: admin.exportAuditLog,
    }),
  ];
}
