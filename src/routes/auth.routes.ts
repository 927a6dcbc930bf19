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
 * Routes that check a password, a code or a refresh token count failed attempts and consume one-time tokens even if
 * they refuse the request. A transaction must not revert that, and hashing would keep it open for long.
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
      answersSecret: true,
      tag,
      summary: 'Create an account and log in. The first account of an installation becomes super admin.',
      body: registerInput,
      throttle: THROTTLES.register,
      replies: {
        201: { description: 'The account and tokens of its first session.', schema: credentialsReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.register,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/login',
      duringMaintenance: true,
      operationId: 'login',
      answersSecret: true,
      tag,
      summary:
        'Log in with a username or e-mail address, a password, and a code if the second factor is enabled.',
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
      answersSecret: true,
      tag,
      summary:
        'Exchange a refresh token for a new pair of tokens. The old refresh token is spent: a repeated exchange within ten ' +
        'seconds returns the same new refresh token. Using it later, or after the new one was used, ends the session.',
      body: refreshInput,
      throttle: THROTTLES.refresh,
      replies: {
        200: { description: 'The new pair of tokens.', schema: credentialsReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.refresh,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/logout',
      operationId: 'logout',
      tag,
      summary: 'End the current session. Its tokens become invalid and its sockets are closed.',
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
      summary: 'End all sessions of the caller, including the current one.',
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
      summary: 'Get the caller.',
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
      summary: "List the caller's sessions, most recently used first.",
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
      answersSecret: true,
      tag,
      summary: 'Change the password. All sessions end, and the answer contains tokens of a new one.',
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
      summary:
        'Request a mail with a link for setting a new password. The answer is the same for unknown addresses.',
      body: forgotPasswordInput,
      throttle: THROTTLES.reset,
      replies: {
        202: { description: 'If an account has this address, a mail will be sent.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.forgotPassword,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/password/reset',
      operationId: 'resetPassword',
      tag,
      summary: 'Set a new password with the token from the mail. All sessions end.',
      body: resetPasswordInput,
      throttle: THROTTLES.reset,
      replies: {
        204: { description: 'The new password was set.' },
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
        'Request a change of the e-mail address. A link mailed to the new address completes it, and a link mailed to the ' +
        'old address cancels it.',
      body: changeEmailInput,
      throttle: THROTTLES.reset,
      replies: {
        202: { description: 'A mail will be sent.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.changeEmail,
    }),
    callerRoute({
      method: 'delete',
      path: '/api/auth/email/pending',
      operationId: 'withdrawEmailChange',
      tag,
      summary: 'Withdraw a change of the e-mail address that is not confirmed yet (`pendingEmail`).',
      replies: {
        204: { description: 'The address remains unchanged.' },
      },
      handle: auth.withdrawEmailChange,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/email/stop',
      operationId: 'stopEmailChange',
      tag,
      summary:
        'Cancel or revert a change of the e-mail address with the token from the mail to the old address. All sessions ' +
        'end, and a link for setting a new password is mailed to the old address.',
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
      summary: 'Resend the mail that confirms the e-mail address.',
      replies: {
        202: { description: 'A mail will be sent if an address needs to be confirmed.' },
      },
      handle: auth.resendVerification,
    }),
    publicRoute({
      method: 'post',
      path: '/api/auth/email/verify',
      operationId: 'verifyEmail',
      tag,
      summary: 'Confirm an e-mail address with the token from the mail.',
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
      answersSecret: true,
      tag,
      summary: 'Start setting up the second factor (TOTP).',
      body: proofInput,
      replies: {
        200: { description: 'The secret for the authenticator app.', schema: totpSetupReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.setUpTotp,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/totp/enable',
      operationId: 'enableTotp',
      answersSecret: true,
      tag,
      summary: 'Enable the second factor with a first code.',
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
      summary: 'Disable the second factor.',
      body: proofInput,
      replies: {
        204: { description: 'The second factor is disabled.' },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.disableTotp,
    }),
    callerRoute({
      method: 'post',
      path: '/api/auth/totp/recovery-codes',
      operationId: 'renewRecoveryCodes',
      answersSecret: true,
      tag,
      summary: 'Replace the recovery codes with new ones.',
      body: proofInput,
      replies: {
        200: { description: 'Ten recovery codes.', schema: recoveryCodesReply },
      },
      ...CHECKS_CREDENTIALS,
      handle: auth.renewRecoveryCodes,
    }),
  ];
}
