import { createAuthController, type AuthServices } from '../controllers/auth.controller.mongodb';
import { refreshInput, sessionParams, sessionsQuery, sessionsReply } from '../models/identity/session.model';
import {
  changeEmailInput,
  changePasswordInput,
  credentialsReply,
  forgotPasswordInput,
  loginInput,
  proofInput,
  recoveryCodesReply,
  registerInput,
  resetPasswordInput,
  stopEmailChangeInput,
  totpCodeInput,
  totpSetupReply,
  userReply,
  verifyEmailInput,
} from '../models/user.model';
import { THROTTLES } from '../models/operations/throttle.model';
import { callerRoute, publicRoute, type ApiRoute } from './api-route';

/**
 * What asks for a password, a code or a refresh token notes a failed try, and spends what is good once, also
 * when it then refuses: nothing of that may be undone with a transaction, and hashing would hold one open.
 */
const CHECKS_CREDENTIALS = { idempotency: 'recorded' } as const;

export function authRoutes(services: AuthServices): ApiRoute[] {
  const auth = createAuthController(services);
  const tag = 'Authentication';
  return [
    publicRoute({
      method: 'post',
      path: '/api/auth/register',
      operationId: 'register',
      tag,
      summary: 'Make an account and log in. The first account of an installation is super admin.',
      body: registerInput,
      throttle: THROTTLES.register,
      replies: {
        201: { description: 'The account and its first tokens.', schema: credentialsReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.register,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/login',
      duringMaintenance: true,
      operationId: 'login',
      tag,
      summary: 'Log in with the username or the e-mail address, and a code where there is a second factor.',
      body: loginInput,
      throttle: THROTTLES.login,
      replies: {
        200: { description: 'Tokens of a new session.', schema: credentialsReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.login,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/refresh',
      duringMaintenance: true,
      operationId: 'refresh',
      tag,
      summary:
        'Exchange the refresh token for a new pair. The old one is spent: within ten seconds it returns the same new ' +
        'refresh token, and used again after that, or after the new one was used, it ends the session.',
      body: refreshInput,
      throttle: THROTTLES.refresh,
      replies: {
        200: { description: 'The new pair.', schema: credentialsReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.refresh,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/logout',
      operationId: 'logout',
      tag,
      summary: 'End the session: its tokens are refused and its sockets closed.',
      replies: {
        204: { description: 'The session has ended.' },
      },
      handle: auth.logout,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/logout-everywhere',
      operationId: 'logoutEverywhere',
      tag,
      summary: 'End all sessions of the caller, this one too.',
      replies: {
        204: { description: 'All sessions have ended.' },
      },
      handle: auth.logoutEverywhere,
    }),
    callerRoute({
      method: 'get',
      path: '/api/auth/me',
      operationId: 'me',
      tag,
      summary: 'Who am I?',
      replies: {
        200: { description: 'The caller.', schema: userReply },
      },
      handle: auth.me,
    }),
    callerRoute({
      method: 'get',
      path: '/api/auth/sessions',
      operationId: 'listSessions',
      tag,
      summary: 'Where the caller is logged in, the session last used first.',
      query: sessionsQuery,
      replies: {
        200: { description: 'A page of sessions.', schema: sessionsReply },
      },
      handle: auth.listSessions,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/auth/sessions/:sessionId',
      operationId: 'revokeSession',
      tag,
      summary: 'End one session of the caller.',
      params: sessionParams,
      replies: {
        204: { description: 'The session has ended.' },
      },
      handle: auth.revokeSession,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/password',
      operationId: 'changePassword',
      tag,
      summary: 'Change the password. Every session ends; the answer begins a new one.',
      body: changePasswordInput,
      replies: {
        200: { description: 'Tokens of a new session.', schema: credentialsReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.changePassword,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/password/forgot',
      operationId: 'forgotPassword',
      tag,
      summary: 'Ask for a link to set a new password. The answer is the same for an unknown address.',
      body: forgotPasswordInput,
      throttle: THROTTLES.reset,
      replies: {
        202: { description: 'If the address has an account, a mail is on its way.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.forgotPassword,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/password/reset',
      operationId: 'resetPassword',
      tag,
      summary: 'Set a new password with the token of the mail. Every session ends.',
      body: resetPasswordInput,
      throttle: THROTTLES.reset,
      replies: {
        204: { description: 'The new password counts.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.resetPassword,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/email',
      operationId: 'changeEmail',
      tag,
      summary:
        'Change the e-mail address: a link to the new one makes the change when it is followed, and a link to the old ' +
        'one stops it.',
      body: changeEmailInput,
      throttle: THROTTLES.reset,
      replies: {
        202: { description: 'A mail is on its way.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.changeEmail,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/auth/email/pending',
      operationId: 'withdrawEmailChange',
      tag,
      summary: 'Withdraw a change of the e-mail address that is not yet confirmed (`pendingEmail`).',
      replies: {
        204: { description: 'The address stays as it is.' },
      },
      handle: auth.withdrawEmailChange,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/email/stop',
      operationId: 'stopEmailChange',
      tag,
      summary:
        'Stop a change of the e-mail address, or take it back, with the token of the mail to the old address. Every ' +
        'session ends, and a link to set a new password goes there.',
      body: stopEmailChangeInput,
      throttle: THROTTLES.reset,
      replies: {
        204: { description: 'The account has the old address.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.stopEmailChange,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/email/resend',
      operationId: 'resendVerification',
      tag,
      summary: 'Send the link that confirms the address again.',
      replies: {
        202: { description: 'A mail is on its way if there is something to confirm.' },
      },
      handle: auth.resendVerification,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/email/verify',
      operationId: 'verifyEmail',
      tag,
      summary: 'Confirm an address with the token of the mail.',
      body: verifyEmailInput,
      throttle: THROTTLES.reset,
      replies: {
        204: { description: 'The address is confirmed.' },
      },
      handle: auth.verifyEmail,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/totp/setup',
      operationId: 'setUpTotp',
      tag,
      summary: 'Begin to set up the second factor.',
      body: proofInput,
      replies: {
        200: { description: 'The secret, for the authenticator app.', schema: totpSetupReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.setUpTotp,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/totp/enable',
      operationId: 'enableTotp',
      tag,
      summary: 'Turn the second factor on with a first code.',
      body: totpCodeInput,
      replies: {
        200: { description: 'Ten recovery codes.', schema: recoveryCodesReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.enableTotp,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/totp/disable',
      operationId: 'disableTotp',
      tag,
      summary: 'Turn the second factor off.',
      body: proofInput,
      replies: {
        204: { description: 'The second factor is off.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.disableTotp,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/totp/recovery-codes',
      operationId: 'renewRecoveryCodes',
      tag,
      summary: 'New recovery codes; the old ones are void.',
      body: proofInput,
      replies: {
        200: { description: 'Ten recovery codes.', schema: recoveryCodesReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.renewRecoveryCodes,
    }),
  ];
}
