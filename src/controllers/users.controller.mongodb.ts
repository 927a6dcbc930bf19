import type { UserService } from '../services/user.service';
import type { CallerRequest, Reply } from './controller.types';

export function createUsersController(users: UserService) {
  return {
    get: async ({ params }: CallerRequest<{ userId: string }>): Promise<Reply> => ({
      status: 200,
      body: { user: await users.get(params.userId) },
    }),
  };
}
