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
      summary: 'Search users by a prefix of the username.',
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
      summary: 'Get the caller, like `GET /api/auth/me`.',
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
      summary: "Change the caller's profile.",
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
      summary:
        'Delete the caller\'s account. Personal data is erased; messages are kept with "Deleted user" as their author.',
      body: proofInput,
      replies: {
        204: { description: 'The account was deleted.' },
      },
      // Checking the password counts failed attempts and consumes a code, which a transaction must not revert.
      idempotency: 'recorded',
      handle: users.remove,
    }),
    callerRoute({
      method: 'post',
      path: '/api/users/me/deactivate',
      operationId: 'deactivateAccount',
      tag,
      summary: "Deactivate the caller's account until the next log-in.",
      body: proofInput,
      replies: {
        204: { description: 'The account is deactivated.' },
      },
      // Checking the password counts failed attempts and consumes a code, which a transaction must not revert.
      idempotency: 'recorded',
      handle: users.deactivate,
    }),
    callerRoute({
      method: 'get',
      path: '/api/users/me/export',
      operationId: 'exportAccount',
      tag,
      summary: 'Export everything that is stored about the caller, as NDJSON.',
      replies: {
        200: {
          description: 'One object `{kind, data}` per line.',
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
      summary: 'List the users whom the caller has blocked.',
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
        204: { description: 'The user is no longer blocked.' },
      },
      handle: users.unblock,
    }),
    callerRoute({
      method: 'get',
      path: '/api/users/:userId',
      operationId: 'getUser',
      tag,
      summary: 'Get the public profile of a user.',
      params: userParams,
      replies: {
        200: { description: 'The user.', schema: publicUserReply },
      },
      handle: users.get,
    }),
  ];
}
