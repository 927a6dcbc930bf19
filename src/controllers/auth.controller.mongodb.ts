import type { RefreshInput, SessionParams, SessionsQuery } from '../models/identity/session.model';
import type {
  ChangeEmailInput,
  ChangePasswordInput,
  ForgotPasswordInput,
  LoginInput,
  Proof,
  RegisterInput,
  ResetPasswordInput,
  StopEmailChangeInput,
  TotpCodeInput,
  VerifyEmailInput,
} from '../models/user.model';
import type { AuthService } from '../services/identity/auth.service';
import type { CredentialService } from '../services/identity/credential.service';
import type { EmailService } from '../services/identity/email.service';
import type { SessionService } from '../services/identity/session.service';
import type { UserService } from '../services/user.service';
import type { CallerRequest, PublicRequest } from './controller.types';
import { reply } from './reply';

export interface AuthServices {
  auth: AuthService;
  sessions: SessionService;
  credentials: CredentialService;
  emails: EmailService;
  users: UserService;
}

export function createAuthController({ auth, sessions, credentials, emails, users }: AuthServices) {
  return {
    register: async ({ body, origin }: PublicRequest<{ body: RegisterInput }>) =>
      reply(201, await auth.register(body, origin)),
    login: async ({ body, origin }: PublicRequest<{ body: LoginInput }>) =>
      reply(200, await auth.login(body, origin)),
    refresh: async ({ body, origin }: PublicRequest<{ body: RefreshInput }>) =>
      reply(200, await sessions.refresh(body, origin)),
    logout: async ({ caller }: CallerRequest) => {
      await sessions.revokeOwn(caller, caller.sessionId.toHexString(), 'logged_out');
      return reply(204);
    },
    logoutEverywhere: async ({ caller }: CallerRequest) => {
      await sessions.revokeAll(caller.userId, 'logged_out');
      return reply(204);
    },
    me: async ({ caller }: CallerRequest) => reply(200, { user: await users.me(caller) }),
    listSessions: async ({ caller, query }: CallerRequest<{ query: SessionsQuery }>) => {
      const { items, nextCursor } = await sessions.list(caller, query);
      return reply(200, { sessions: items, nextCursor });
    },
    revokeSession: async ({ caller, params }: CallerRequest<{ params: SessionParams }>) => {
      await sessions.revokeOwn(caller, params.sessionId, 'revoked');
      return reply(204);
    },
    changePassword: async ({ caller, body, origin }: CallerRequest<{ body: ChangePasswordInput }>) =>
      reply(200, await credentials.changePassword(caller, body, origin)),
    forgotPassword: ({ body }: PublicRequest<{ body: ForgotPasswordInput }>) => {
      credentials.forgotPassword(body.email);
      return Promise.resolve(reply(202));
    },
    resetPassword: async ({ body, origin }: PublicRequest<{ body: ResetPasswordInput }>) => {
      await credentials.resetPassword(body, origin);
      return reply(204);
    },
    changeEmail: async ({ caller, body, origin }: CallerRequest<{ body: ChangeEmailInput }>) => {
      await credentials.changeEmail(caller, body, origin);
      return reply(202);
    },
    withdrawEmailChange: async ({ caller }: CallerRequest) => {
      await credentials.withdrawEmailChange(caller);
      return reply(204);
    },
    stopEmailChange: async ({ body, origin }: PublicRequest<{ body: StopEmailChangeInput }>) => {
      await credentials.stopEmailChange(body.token, origin);
      return reply(204);
    },
    resendVerification: async ({ caller }: CallerRequest) => {
      await credentials.resendVerification(caller);
      return reply(202);
    },
    verifyEmail: async ({ body, origin }: PublicRequest<{ body: VerifyEmailInput }>) => {
      await emails.verify(body.token, origin);
      return reply(204);
    },
    setUpTotp: async ({ caller, body, origin }: CallerRequest<{ body: Proof }>) =>
      reply(200, await credentials.setUpTotp(caller, body, origin)),
    enableTotp: async ({ caller, body, origin }: CallerRequest<{ body: TotpCodeInput }>) =>
      reply(200, { recoveryCodes: await credentials.enableTotp(caller, body.code, origin) }),
    disableTotp: async ({ caller, body, origin }: CallerRequest<{ body: Proof }>) => {
      await credentials.disableTotp(caller, body, origin);
      return reply(204);
    },
    renewRecoveryCodes: async ({ caller, body, origin }: CallerRequest<{ body: Proof }>) =>
      reply(200, { recoveryCodes: await credentials.renewRecoveryCodes(caller, body, origin) }),
  };
}
