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

/** The routes by which super admins manage users and read the audit log. */
export function adminRoutes(services: AdminServices): ApiRoute[] {
  const admin = createAdminController(services);
  const tag = 'Administration';
  return [
    callerRoute({
      method: 'get',
      path: '/api/admin/users',
      operationId: 'listUsers',
      tag,
      summary:
        'List users, filtered by state and role: newest first, or by the searched field if `query` is set.',
      query: adminUsersQuery,
      replies: { 200: { description: 'A page of users.', schema: adminUsersReply } },
      handle: admin.listUsers,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/users/:userId',
      operationId: 'inspectUser',
      tag,
      summary: 'Get a user with the data that only administrators see.',
      params: userParams,
      replies: { 200: { description: 'The user.', schema: adminUserReply } },
      handle: admin.getUser,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/admin/users/:userId',
      operationId: 'deleteUser',
      tag,
      summary: 'Delete an account, as its owner can: personal data is erased, messages are kept.',
      params: userParams,
      body: deleteUserInput,
      replies: { 204: { description: 'The account was deleted.' } },
      handle: admin.deleteUser,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/admin/users/:userId/role',
      operationId: 'changeRole',
      tag,
      summary: 'Change the role of a user.',
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
      summary: 'Suspend a user, until a given time or indefinitely.',
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
      summary: 'Ban a user from the server. Nobody can register with their e-mail address.',
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
      summary: 'Mail a user a link for setting a new password.',
      params: userParams,
      replies: {
        202: { description: 'The mail will be sent.' },
      },
      handle: admin.resetPassword,
    }),
    callerRoute({
      method: 'get',
      path: '/api/admin/audit-log',
      operationId: 'listAuditLog',
      tag,
      summary: 'List the privileged actions in the audit log, newest first.',
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
      summary: 'Export the audit log as NDJSON, oldest first. `npm run audit:verify` reads this format.',
      query: auditFilterQuery,
      replies: {
        200: {
          description: 'One entry per line.',
          records: auditEntrySchema,
        },
      },
      handle: admin.exportAuditLog,
    }),
  ];
}
