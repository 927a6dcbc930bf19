import type { PageQuery } from '../models/kernel/common.model';
import type { Proof, UpdateProfileInput, UserParams, UserSearchQuery } from '../models/user.model';
import type { AccountExportService } from '../services/accounts/account-export.service';
import type { AccountService } from '../services/accounts/account.service';
import type { UserService } from '../services/user.service';
import type { CallerRequest } from './controller.types';
import { reply, replyRecords } from './reply';

export interface UsersServices {
  users: UserService;
  accounts: AccountService;
  accountExports: AccountExportService;
}

export function createUsersController({ users, accounts, accountExports }: UsersServices) {
  return {
    me: async ({ caller }: CallerRequest) => reply(200, { user: await users.me(caller) }),
    get: async ({ params }: CallerRequest<{ params: UserParams }>) =>
      reply(200, { user: await users.get(params.userId) }),
    search: async ({ query }: CallerRequest<{ query: UserSearchQuery }>) => {
      const { items, nextCursor } = await users.search(query);
      return reply(200, { users: items, nextCursor });
    },
    updateProfile: async ({ caller, body }: CallerRequest<{ body: UpdateProfileInput }>) =>
      reply(200, { user: await users.updateProfile(caller, body) }),
    listBlocked: async ({ caller, query }: CallerRequest<{ query: PageQuery }>) => {
      const { items, nextCursor } = await users.listBlocked(caller, query);
      return reply(200, { users: items, nextCursor });
    },
    block: async ({ caller, params }: CallerRequest<{ params: UserParams }>) => {
      await users.block(caller, params.userId);
      return reply(204);
    },
    unblock: async ({ caller, params }: CallerRequest<{ params: UserParams }>) => {
      await users.unblock(caller, params.userId);
      return reply(204);
    },
    deactivate: async ({ caller, body, origin }: CallerRequest<{ body: Proof }>) => {
      await accounts.deactivate(caller, body, origin);
      return reply(204);
    },
    remove: async ({ caller, body, origin }: CallerRequest<{ body: Proof }>) => {
      await accounts.delete(caller, body, origin);
      return reply(204);
    },
    export: ({ caller }: CallerRequest) => Promise.resolve(replyRecords(accountExports.export(caller))),
  };
}
