import type { PageQuery } from '../models/kernel/common.model';
import type { Proof, UpdateProfileInput, UserSearchQuery } from '../models/user.model';
import type { AccountExportService } from '../services/accounts/account-export.service';
import type { AccountService } from '../services/accounts/account.service';
import type { UserService } from '../services/user.service';
import type { CallerRequest, Reply } from './controller.types';

type UserParams = { userId: string };

const NOTHING: Reply = { status: 204 };

export interface UsersServices {
  users: UserService;
  accounts: AccountService;
  accountExports: AccountExportService;
}

export function createUsersController({ users, accounts, accountExports }: UsersServices) {
  return {
    me: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: { user: await users.me(caller) },
    }),
    get: async ({ params }: CallerRequest<UserParams>): Promise<Reply> => ({
      status: 200,
      body: { user: await users.get(params.userId) },
    }),
    search: async ({ query }: CallerRequest<undefined, UserSearchQuery>): Promise<Reply> => {
      const { items, nextCursor } = await users.search(query);
      return { status: 200, body: { users: items, nextCursor } };
    },
    updateProfile: async ({
      caller,
      body,
    }: CallerRequest<undefined, undefined, UpdateProfileInput>): Promise<Reply> => ({
      status: 200,
      body: { user: await users.updateProfile(caller, body) },
    }),
    listBlocked: async ({ caller, query }: CallerRequest<undefined, PageQuery>): Promise<Reply> => {
      const { items, nextCursor } = await users.listBlocked(caller, query);
      return { status: 200, body: { users: items, nextCursor } };
    },
    block: async ({ caller, params }: CallerRequest<UserParams>): Promise<Reply> => {
      await users.block(caller, params.userId);
      return NOTHING;
    },
    unblock: async ({ caller, params }: CallerRequest<UserParams>): Promise<Reply> => {
      await users.unblock(caller, params.userId);
      return NOTHING;
    },
    deactivate: async ({
      caller,
      body,
      origin,
    }: CallerRequest<undefined, undefined, Proof>): Promise<Reply> => {
      await accounts.deactivate(caller, body, origin);
      return NOTHING;
    },
    remove: async ({ caller, body, origin }: CallerRequest<undefined, undefined, Proof>): Promise<Reply> => {
      await accounts.delete(caller, body, origin);
      return NOTHING;
    },
    export: ({ caller }: CallerRequest): Promise<Reply> =>
      Promise.resolve({ status: 200, body: accountExports.export(caller) }),
  };
}
