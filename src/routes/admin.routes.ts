import { createAdminController, type AdminServices } from '../controllers/admin.controller.mongodb';
import {
  adminUserReply,
  adminUsersQuery,
  adminUsersReply,
  banInput,
  deleteUserInput,
} from '../models/admin/admin-user.model';
import { changeRoleInput, suspendInput } from '../models/admin/admin.model';
import { auditEntrySchema, auditFilterQuery, auditQuery, auditReply } from '../models/audit/audit.model';
import { userParams } from '../models/user.model';
import { callerRoute, type ApiRoute } from './api-route';

/** For super admins. */
export function adminRoutes(services: AdminServices): ApiRoute[] {
  const admin = createAdminController(services);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/users',
      operationId: 'listUsers',
      tag,
      summary: 'Users by state and role, the newest first; or by how a name or an address begins.',
      query: adminUsersQuery,
      replies: { 200: { description: 'A page of users.', schema: adminUsersReply } },
      handle: admin.listUsers,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/users/:userId',
      operationId: 'inspectUser',
      tag,
      summary: 'A user with all that administrators may know.',
      params: userParams,
      replies: { 200: { description: 'The user.', schema: adminUserReply } },
      handle: admin.getUser,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/admin/users/:userId',
      operationId: 'deleteUser',
      tag,
      summary: 'Delete an account, as its owner could: personal data is erased, messages stay.',
      params: userParams,
      body: deleteUserInput,
      replies: { 204: { description: 'The account is deleted.' } },
      handle: admin.deleteUser,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/admin/users/:userId/role',
      operationId: 'changeRole',
      tag,
      summary: 'Give a user another role.',
      params: userParams,
      body: changeRoleInput,
      replies: {
        200: { description: 'The user.', schema: adminUserReply },
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
        200: { description: 'The user.', schema: adminUserReply },
      },
      handle: admin.suspend,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/users/:userId/ban',
      operationId: 'banUser',
      tag,
      summary: 'Ban a user from the server; nobody can register with their address.',
      params: userParams,
      body: banInput,
      replies: {
        200: { description: 'The user.', schema: adminUserReply },
      },
      handle: admin.ban,
    }),
    callerRoute({
      method: 'post',
      path: '/api/admin/users/:userId/restore',
      operationId: 'restoreUser',
      tag,
      summary: 'End a suspension or a ban.',
      params: userParams,
      replies: {
        200: { description: 'The user.', schema: adminUserReply },
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
      method: 'post',
      path: '/api/admin/users/:userId/reset-password',
      operationId: 'sendPasswordReset',
      tag,
      summary: 'Mail a user a link to set a new password.',
      params: userParams,
      replies: {
        202: { description: 'The mail is on its way.' },
      },
      handle: admin.resetPassword,
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
          records: auditEntrySchema,
        },
      },
      handle: admin.exportAuditLog,
    }),
  ];
}
