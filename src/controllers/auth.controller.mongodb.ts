import type { RefreshInput } from '../models/session.model';
import type { LoginInput, RegisterInput } from '../models/user.model';
import type { AuthService } from '../services/auth.service';
import type { CallerRequest, PublicRequest, Reply } from './controller.types';

type WithBody<Body> = PublicRequest<undefined, undefined, Body>;

export function createAuthController(auth: AuthService) {
  return {
    register: async ({ body }: WithBody<RegisterInput>): Promise<Reply> => ({
      status: 201,
      body: await auth.register(body),
    }),
    login: async ({ body }: WithBody<LoginInput>): Promise<Reply> => ({
      status: 200,
      body: await auth.login(body),
    }),
    refresh: async ({ body }: WithBody<RefreshInput>): Promise<Reply> => ({
      status: 200,
      body: await auth.refresh(body),
    }),
    logout: async ({ caller }: CallerRequest): Promise<Reply> => {
      await auth.logout(caller);
      return { status: 204 };
    },
    me: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: { user: await auth.me(caller) },
    }),
  };
}
