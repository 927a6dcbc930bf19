import type { RefreshInput, SessionsQuery } from '../models/identity/session.model';
import type {
  ChangeEmailInput,
  ChangePasswordInput,
  LoginInput,
  Proof,
  RegisterInput,
  ResetPasswordInput,
} from '../models/user.model';
import type { AuthService } from '../services/identity/auth.service';
import type { CredentialService } from '../services/identity/credential.service';
import type { EmailService } from '../services/identity/email.service';
import type { SessionService } from '../services/identity/session.service';
import type { ThrottleService } from '../services/operations/throttle.service';
import type { UserService } from '../services/user.service';
import type { CallerRequest, PublicRequest, Reply } from './controller.types';

type Public<Body> = PublicRequest<undefined, undefined, Body>;
type Called<Body> = CallerRequest<undefined, undefined, Body>;

const NOTHING: Reply = { status: 204 };
const ACCEPTED: Reply = { status: 202 };

export interface AuthServices {
  auth: AuthService;
  sessions: SessionService;
  credentials: CredentialService;
  emails: EmailService;
  throttle: ThrottleService;
  users: UserService;
}

export function createAuthController({ auth, sessions, credentials, emails, throttle, users }: AuthServices) {
  return {
    register: async ({ body, origin }: Public<RegisterInput>): Promise<Reply> => ({
      status: 201,
      body: await auth.register(body, origin),
    }),
    login: async ({ body, origin }: Public<LoginInput>): Promise<Reply> => ({
      status: 200,
      body: await auth.login(body, origin),
    }),
    refresh: async ({ body, origin }: Public<RefreshInput>): Promise<Reply> => {
      await throttle.countCall('refresh', origin.address);
      return { status: 200, body: await sessions.refresh(body, origin) };
    },
    logout: async ({ caller }: CallerRequest): Promise<Reply> => {
      await sessions.revokeOwn(caller, caller.sessionId.toHexString(), 'logged_out');
      return NOTHING;
    },
    logoutEverywhere: async ({ caller }: CallerRequest): Promise<Reply> => {
      await sessions.revokeAll(caller.userId, 'logged_out');
      return NOTHING;
    },
    me: async ({ caller }: CallerRequest): Promise<Reply> => ({
      status: 200,
      body: { user: await users.me(caller) },
    }),
    listSessions: async ({ caller, query }: CallerRequest<undefined, SessionsQuery>): Promise<Reply> => {
      const { items, nextCursor } = await sessions.list(caller, query);
      return { status: 200, body: { sessions: items, nextCursor } };
    },
    revokeSession: async ({ caller, params }: CallerRequest<{ sessionId: string }>): Promise<Reply> => {
      await sessions.revokeOwn(caller, params.sessionId, 'revoked');
      return NOTHING;
    },
    changePassword: async ({ caller, body, origin }: Called<ChangePasswordInput>): Promise<Reply> => ({
      status: 200,
      body: await credentials.changePassword(caller, body, origin),
    }),
    forgotPassword: async ({ body, origin }: Public<{ email: string }>): Promise<Reply> => {
      await credentials.forgotPassword(body.email, origin);
      return ACCEPTED;
    },
    resetPassword: async ({ body, origin }: Public<ResetPasswordInput>): Promise<Reply> => {
      await credentials.resetPassword(body, origin);
      return NOTHING;
    },
    changeEmail: async ({ caller, body, origin }: Called<ChangeEmailInput>): Promise<Reply> => {
      await credentials.changeEmail(caller, body, origin);
      return ACCEPTED;
    },
    withdrawEmailChange: async ({ caller }: CallerRequest): Promise<Reply> => {
      await credentials.withdrawEmailChange(caller);
      return NOTHING;
    },
    stopEmailChange: async ({ body, origin }: Public<{ token: string }>): Promise<Reply> => {
      await credentials.stopEmailChange(body.token, origin);
      return NOTHING;
    },
    resendVerification: async ({ caller }: CallerRequest): Promise<Reply> => {
      await credentials.resendVerification(caller);
      return ACCEPTED;
    },
    verifyEmail: async ({ body, origin }: Public<{ token: string }>): Promise<Reply> => {
      await throttle.countCall('reset', origin.address);
      await emails.verify(body.token, origin);
      return NOTHING;
    },
    setUpTotp: async ({ caller, body, origin }: Called<Proof>): Promise<Reply> => ({
      status: 200,
      body: await credentials.setUpTotp(caller, body, origin),
    }),
    enableTotp: async ({ caller, body, origin }: Called<{ code: string }>): Promise<Reply> => ({
      status: 200,
      body: { recoveryCodes: await credentials.enableTotp(caller, body.code, origin) },
    }),
    disableTotp: async ({ caller, body, origin }: Called<Proof>): Promise<Reply> => {
      await credentials.disableTotp(caller, body, origin);
      return NOTHING;
    },
    renewRecoveryCodes: async ({ caller, body, origin }: Called<Proof>): Promise<Reply> => ({
      status: 200,
      body: { recoveryCodes: await credentials.renewRecoveryCodes(caller, body, origin) },
    }),
  };
}
