import { createUsersController, type UsersServices } from '../controllers/users.controller.mongodb';
import { exportedRecord } from '../models/accounts/account-export.model';
import { pageQuery } from '../models/kernel/common.model';
import {
  proofInput,
  publicUserReply,
  publicUsersReply,
  updateProfileInput,
  userParams,
  userReply,
  userSearchQuery,
} from '../models/user.model';
import { callerRoute, type ApiRoute } from './api-route';

export function userRoutes(services: UsersServices): ApiRoute[] {
  const users = createUsersController(services);
  const tag = 'Users';
  return [
    callerRoute({
      method: 'get',
      path: '/api/users',
      operationId: 'searchUsers',
      tag,
      summary: 'Users whose username begins with the query.',
      query: userSearchQuery,
      replies: {
        200: { description: 'A page of users.', schema: publicUsersReply },
      },
      handle: users.search,
    }),
    callerRoute({
      method: 'get',
      path: '/api/users/me',
      operationId: 'getOwnProfile',
      tag,
      summary: 'The caller, as `GET /api/auth/me` returns them.',
      replies: {
        200: { description: 'The caller.', schema: userReply },
      },
      handle: users.me,
    }),
    callerRoute({
      method: 'patch',
      path: '/api/users/me',
      operationId: 'updateProfile',
      tag,
      summary: 'Change the own profile.',
      body: updateProfileInput,
      replies: {
        200: { description: 'The caller.', schema: userReply },
      },
      handle: users.updateProfile,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/users/me',
      operationId: 'deleteAccount',
      tag,
      summary: 'Delete the own account: personal data is erased, messages stay under "Deleted user".',
      body: proofInput,
      replies: {
        204: { description: 'The account is gone.' },
      },
      // Proving the password notes failed tries and spends a code: no part of a transaction.
      idempotency: 'recorded',
      handle: users.remove,
    }),
    callerRoute({
      method: 'post',
      path: '/api/users/me/deactivate',
      operationId: 'deactivateAccount',
      tag,
      summary: 'Put the own account to rest until the next log-in.',
      body: proofInput,
      replies: {
        204: { description: 'The account rests.' },
      },
      // Proving the password notes failed tries and spends a code: no part of a transaction.
      idempotency: 'recorded',
      handle: users.deactivate,
    }),
    callerRoute({
      method: 'get',
      path: '/api/users/me/export',
      operationId: 'exportAccount',
      tag,
      summary: 'Everything that is stored about the caller, one JSON object a line.',
      replies: {
        200: {
          description: 'Lines of `{kind, data}`.',
          records: exportedRecord,
        },
      },
      handle: users.export,
    }),
    callerRoute({
      method: 'get',
      path: '/api/users/me/blocks',
      operationId: 'listBlocked',
      tag,
      summary: 'Whom the caller has blocked.',
      query: pageQuery,
      replies: {
        200: { description: 'A page of users.', schema: publicUsersReply },
      },
      handle: users.listBlocked,
    }),
    callerRoute({
      method: 'put',
      path: '/api/users/me/blocks/:userId',
      operationId: 'blockUser',
      tag,
      summary: 'Block a user.',
      params: userParams,
      replies: {
        204: { description: 'The user is blocked.' },
      },
      handle: users.block,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/users/me/blocks/:userId',
      operationId: 'unblockUser',
      tag,
      summary: 'Unblock a user.',
      params: userParams,
      replies: {
        204: { description: 'The user is not blocked.' },
      },
      handle: users.unblock,
    }),
    callerRoute({
      method: 'get',
      path: '/api/users/:userId',
      operationId: 'getUser',
      tag,
      summary: 'A user as others see them.',
      params: userParams,
      replies: {
        200: { description: 'The user.', schema: publicUserReply },
      },
      handle: users.get,
    }),
  ];
}
