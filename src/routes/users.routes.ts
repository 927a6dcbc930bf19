import type { Services } from '../context';
import { createUsersController } from '../controllers/users.controller.mongodb';
import { publicUserReply, userParams } from '../models/user.model';
import { callerRoute, type ApiRoute } from './api-route';

export function userRoutes(service: Services['users']): ApiRoute[] {
  const users = createUsersController(service);
  return [
    callerRoute({
      method: 'get',
      path: '/api/users/:userId',
      operationId: 'getUser',
      tag: 'Users',
      summary: 'A user as others see them.',
      params: userParams,
      replies: { 200: { description: 'The user.', schema: publicUserReply } },
      handle: users.get,
    }),
  ];
}
